/** Who is logged in, and what is known before a login. */

import { call, type Api } from '../api/client';
import { ApiProblem, tooOld } from '../api/problems';
import type { Granted, Tokens } from '../api/tokens';
import type { AppConfig } from '../domain/strategy';
import { APP_VERSION, isEarlier } from '../domain/version';
import { Kept } from './kept.svelte';

export type LoginState = 'asking' | 'out' | 'in' | 'unreachable';

export class Login {
  state = $state<LoginState>('asking');
  email = $state('');
  /** Why the last login ended, in a sentence; empty after a logout by hand. */
  reason = $state('');
  config = $state<AppConfig | null>(null);
  /** Why nothing is begun by this app any more: its server works with later ones only. */
  readonly tooOld = $derived(
    isEarlier(APP_VERSION, this.config?.minimum_client_version ?? '') ? tooOld() : null,
  );
  readonly #api: Api;
  readonly #tokens: Tokens;
  /** Whether this browser had a login when it was last open: a stranger's first page asks for no refresh. */
  readonly #had = new Kept('login', ['no', 'yes'], 'no');

  constructor(api: Api, tokens: Tokens) {
    this.#api = api;
    this.#tokens = tokens;
    tokens.onended = (reason) => {
      this.reason = reason;
      this.email = '';
      this.#had.current = 'no';
      this.state = 'out';
    };
    tokens.ongranted = () => {
      this.#had.current = 'yes';
      this.state = 'in';
      this.reason = '';
      void this.#whoAmI();
    };
  }

  /** Goes on with the login of this browser, if it has one. */
  async resume(): Promise<void> {
    void this.loadConfig();
    if (this.#had.current === 'no') {
      this.state = 'out';
      return;
    }
    try {
      await this.#tokens.refresh();
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      if (this.state === 'in') return; // another tab has renewed it meanwhile
      const refused = error.kind === 'refused' && error.status < 500 && error.status !== 429;
      this.state = refused ? 'out' : 'unreachable';
    }
  }

  async loadConfig(): Promise<void> {
    try {
      this.config = await call(this.#api.GET('/app/config'));
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
    }
  }

  async enter(email: string, password: string): Promise<void> {
    this.#entered(await call(this.#api.POST('/auth/login', { body: { email, password } })), email);
  }

  async register(email: string, password: string, invitation: string): Promise<void> {
    const body = { email, password, ...(invitation ? { invitation } : {}) };
    this.#entered(await call(this.#api.POST('/auth/register', { body })), email);
  }

  async changePassword(current: string, next: string): Promise<void> {
    const body = { current_password: current, new_password: next };
    this.#entered(await call(this.#api.POST('/auth/password', { body })), this.email);
  }

  async logout(): Promise<void> {
    await this.#tokens.logout();
  }

  async deleteAccount(password: string): Promise<void> {
    await call(this.#api.POST('/auth/delete', { body: { password } }));
    this.#tokens.forget();
  }

  /** The password once more, for what a stolen phone must not do. */
  async confirm(password: string): Promise<void> {
    await call(this.#api.POST('/auth/confirm', { body: { password } }));
  }

  #entered(granted: Granted, email: string): void {
    this.email = email;
    this.#tokens.granted(granted);
  }

  async #whoAmI(): Promise<void> {
    if (this.email) return;
    try {
      const { email } = await call(this.#api.GET('/auth/validate'));
      if (this.#tokens.access) this.email ||= email;
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
    }
  }
}
