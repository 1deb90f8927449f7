/** Path to page. A page that is rarely needed is loaded when it is first opened. */

import type { Component } from 'svelte';

export interface Route {
  readonly load: () => Promise<{ default: Component<{ rest: readonly string[] }> }>;
  /** Which of the four main places is marked. */
  readonly place: 'today' | 'strategies' | 'activity' | 'account';
  /** Shown beside the list where the screen is wide. */
  readonly besideList?: boolean;
}

export const ROUTES: Readonly<Record<string, Route>> = {
  '': { load: () => import('./today/TodayPage.svelte'), place: 'today' },
  today: { load: () => import('./today/TodayPage.svelte'), place: 'today' },
  strategy: { load: () => import('./strategies/DetailPage.svelte'), place: 'today', besideList: true },
  strategies: { load: () => import('./strategies/StrategiesPage.svelte'), place: 'strategies' },
  new: { load: () => import('./strategies/FormPage.svelte'), place: 'strategies' },
  edit: { load: () => import('./strategies/FormPage.svelte'), place: 'strategies' },
  activity: { load: () => import('./account/ActivityPage.svelte'), place: 'activity' },
  orders: { load: () => import('./account/OrdersPage.svelte'), place: 'activity' },
  notices: { load: () => import('./notices/InboxPage.svelte'), place: 'activity' },
  'notice-settings': { load: () => import('./notices/SettingsPage.svelte'), place: 'account' },
  account: { load: () => import('./account/AccountPage.svelte'), place: 'account' },
  devices: { load: () => import('./account/DevicesPage.svelte'), place: 'account' },
  password: { load: () => import('./account/PasswordPage.svelte'), place: 'account' },
  about: { load: () => import('./account/AboutPage.svelte'), place: 'account' },
  broker: { load: () => import('./broker/BrokerPage.svelte'), place: 'account' },
  panic: { load: () => import('./panic/PanicPage.svelte'), place: 'today' },
  ready: { load: () => import('./plans/ReadinessPage.svelte'), place: 'today' },
  schedule: { load: () => import('./plans/SchedulePage.svelte'), place: 'strategies' },
  schedules: { load: () => import('./plans/SchedulesPage.svelte'), place: 'strategies' },
  calendar: { load: () => import('./plans/CalendarPage.svelte'), place: 'strategies' },
  help: { load: () => import('./shell/WaysOutPage.svelte'), place: 'account' },
};

/** Open without a login. */
export const OPEN_ROUTES: Readonly<Record<string, Route['load']>> = {
  login: () => import('./account/LoginPage.svelte'),
  register: () => import('./account/RegisterPage.svelte'),
  gallery: () => import('./gallery/GalleryPage.svelte'),
  help: () => import('./shell/WaysOutPage.svelte'),
};
