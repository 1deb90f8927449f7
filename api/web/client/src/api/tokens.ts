/**
 * The login of this browser: the access token is kept in memory, the refresh token in a cookie that no script can read.
 *
 * One tab refreshes at a time (Web Locks), and tells the others the new access token (BroadcastChannel). Where the page
 * is not a secure context there is no cookie: the server then answers with the refresh token, which is kept in memory
 * as well, and the login ends with the tab.
 */

import { ApiProblem, lost, problemOf, unreachable } from './problems';

export interface Granted {
  readonly access_token: string;
  readonly expires_in: number;
  readonly refresh_token?: string | null;
}

export type Ended = (reason: string) => void;

/** Asks for the cookie form of login, register, refresh and logout. */
export const COOKIE_FORM = { 'X-Session': 'cookie' } as const;

const LOCK = 'tradeactors-refresh';
const CHANNEL = 'tradeactors-session';
const RENEW_BEFORE_MS = 60_000;
const REFRESH_TIMEOUT_MS = 15_000;

type Told = { kind: 'granted'; granted: Granted; at: number } | { kind: 'ended' };

export class Tokens {
  #access: string | null = null;
  #refresh: string | null = null;
  #endsAt = 0;
  #grantedAt = 0;
  #underWay: Promise<string> | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #channel = new BroadcastChannel(CHANNEL);
  readonly #onrenewed = new Set<() => void>();
  onended: Ended = () => {};
  ongranted: () => void = () => {};

  constructor() {
    this.#channel.addEventListener('message', (event: MessageEvent<Told>) => {
      if (event.data.kind === 'ended') this.#end('Logged out in another tab.');
      else this.#take(event.data.granted, event.data.at);
    });
  }

  get access(): string | null {
    return this.#access;
  }

  get secondsLeft(): number {
    return Math.max(0, (this.#endsAt - Date.now()) / 1000);
  }

  /** Called after each renewal: the event stream opens its next connection with the new token. */
  whenRenewed(renewed: () => void): () => void {
    this.#onrenewed.add(renewed);
    return () => this.#onrenewed.delete(renewed);
  }

  /** After a login, a registration or a new password: this tab and all others have the new tokens. */
  granted(granted: Granted): void {
    const at = Date.now();
    this.#take(granted, at);
    const { access_token, expires_in } = granted;
    this.#channel.postMessage({ kind: 'granted', granted: { access_token, expires_in }, at } satisfies Told);
  }

  /** A new access token. All callers of a moment share one request. Throws `ApiProblem`; 401 ends the login. */
  refresh(): Promise<string> {
    this.#underWay ??= this.#refreshAlone().finally(() => (this.#underWay = null));
    return this.#underWay;
  }

  async logout(): Promise<void> {
    const body = this.#refresh ? JSON.stringify({ refresh_token: this.#refresh }) : '{}';
    const response = await post('/auth/logout', body);
    if (!response.ok && response.status !== 401) throw await problemOf(response);
    this.forget();
  }

  /** Ends the login in all tabs without asking the server, as after the account was deleted. */
  forget(): void {
    this.#channel.postMessage({ kind: 'ended' } satisfies Told);
    this.#end('');
  }

  async #refreshAlone(): Promise<string> {
    const asked = Date.now();
    if (!('locks' in navigator)) return this.#ask();
    return navigator.locks.request(LOCK, async () => {
      // Another tab may have renewed while this one waited for its turn.
      if (this.#access && this.#grantedAt >= asked) return this.#access;
      return this.#ask();
    });
  }

  async #ask(): Promise<string> {
    const body = this.#refresh ? JSON.stringify({ refresh_token: this.#refresh }) : '{}';
    const response = await post('/auth/refresh', body);
    if (response.ok) {
      const granted = (await response.json()) as Granted;
      this.granted(granted);
      return granted.access_token;
    }
    const problem = await problemOf(response);
    if (response.status === 401 || response.status === 422)
      this.#end(problem.code === 'no_login' ? '' : problem.message);
    throw problem;
  }

  #take(granted: Granted, at: number): void {
    const first = this.#access === null;
    this.#access = granted.access_token;
    if (granted.refresh_token) this.#refresh = granted.refresh_token;
    this.#grantedAt = at;
    this.#endsAt = at + granted.expires_in * 1000;
    this.#arm();
    if (first) this.ongranted();
    for (const renewed of this.#onrenewed) renewed();
  }

  /** A minute before the end, or halfway where tokens last less than two. */
  #arm(): void {
    clearTimeout(this.#timer);
    const left = this.#endsAt - Date.now();
    const wait = left > 2 * RENEW_BEFORE_MS ? left - RENEW_BEFORE_MS : left / 2;
    this.#timer = setTimeout(() => void this.#renew(), Math.max(1000, wait));
  }

  async #renew(): Promise<void> {
    try {
      await this.refresh();
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      // A 401 has ended the login. Anything else is tried again by the timer, or by the next request.
      if (this.#access) this.#timer = setTimeout(() => void this.#renew(), 5000);
    }
  }

  #end(reason: string): void {
    clearTimeout(this.#timer);
    this.#access = null;
    this.#refresh = null;
    this.onended(reason);
  }
}

async function post(path: string, body: string): Promise<Response> {
  try {
    return await fetch(path, {
      method: 'POST',
      body,
      headers: { 'Content-Type': 'application/json', ...COOKIE_FORM },
      credentials: 'same-origin',
      signal: AbortSignal.timeout(REFRESH_TIMEOUT_MS),
    });
  } catch (error) {
    throw (error as Error).name === 'TimeoutError' ? lost() : unreachable();
  }
}
