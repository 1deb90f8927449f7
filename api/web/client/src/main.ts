import { mount } from 'svelte';
import AppRoot from './App.svelte';
import { App } from './state/app.svelte';
import './styles/index.css';

const target = document.getElementById('app');
if (!target) throw new Error('The page has no #app');

const app = new App();
mount(AppRoot, { target, props: { app } });
void app.login.resume();
