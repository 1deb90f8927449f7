/** The parts of the app, made once in `main.ts` and handed down by context. */

import { getContext, setContext } from 'svelte';
import { makeApi, type Api } from '../api/client';
import { Tokens } from '../api/tokens';
import { brokerView, type BrokerView } from '../domain/broker';
import { linkView, type LinkView } from '../domain/link';
import { viewOf } from '../domain/states';
import type { Status } from '../domain/strategy';
import { Account } from './account.svelte';
import { Announcer } from './announcer.svelte';
import { Clock } from './clock.svelte';
import { Login } from './login.svelte';
import { Router } from './router.svelte';
import { Strategies } from './strategies.svelte';
import { Theme } from './theme.svelte';
import { Worker } from './worker.svelte';

const KEY = Symbol('app');

export class App {
  readonly clock = new Clock();
  readonly theme = new Theme();
  readonly announcer = new Announcer();
  readonly router = new Router();
  readonly tokens = new Tokens();
  readonly api: Api = makeApi(
    this.tokens,
    (reachable) => this.#reached(reachable),
    () => this.login.tooOld,
  );
  readonly login = new Login(this.api, this.tokens);
  readonly strategies = new Strategies(this.api, this.tokens, this.clock);
  readonly account = new Account(this.api);
  readonly worker = new Worker(this.api, (path) => this.router.go(path));
  readonly link: LinkView = $derived(linkView(this.strategies.link, this.clock.here));
  readonly broker: BrokerView = $derived(
    brokerView(this.account.broker, this.clock.now, this.strategies.stakes),
  );
  readonly live = $derived(this.link.state === 'live');

  constructor() {
    this.strategies.onchange = (before, after) => this.#changed(before, after);
    // A server that was replaced while this page is open may want a later app.
    this.strategies.onhello = (version) => {
      if (version !== this.login.config?.version) void this.login.loadConfig();
    };
    this.strategies.onaccount = (change) => {
      if (change) this.account.entriesForbidden = change.entries_forbidden;
      void this.account.refresh();
    };
  }

  /** Ends the login of this device; what it was notified of and what it showed goes with it. */
  async logout(): Promise<void> {
    if (this.worker.push === 'on') await this.worker.pushOff();
    await this.login.logout();
  }

  #reached(reachable: boolean): void {
    const { link } = this.strategies;
    if (link.reachable !== reachable) this.strategies.link = { ...link, reachable };
  }

  /** A change that a trader would want to hear of: another state than before. */
  #changed(before: Status | undefined, after: Status): void {
    if (!before) return;
    const now = Date.now();
    const was = viewOf({ status: before, at: now }, now, true);
    const is = viewOf({ status: after, at: now }, now, true);
    if (was.key === is.key) return;
    const name = this.strategies.symbol(after.strategy_id);
    this.announcer.say(`${name}: ${is.word}. ${is.sentence}`, is.tone === 'danger', name);
    if (after.strategy_status === 'stopped') void this.account.refresh();
  }
}

export function provideApp(app: App): void {
  setContext(KEY, app);
}

export function useApp(): App {
  return getContext<App>(KEY);
}
