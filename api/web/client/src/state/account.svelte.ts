/** The broker's connection and the inbox's count: what every screen's top bar needs. */

import { call, type Api } from '../api/client';
import { ApiProblem } from '../api/problems';
import type { BrokerStatus } from '../domain/strategy';

/** The broker's login ends by the clock, or elsewhere: how often it is asked again. */
const ASK_MS = 60_000;

export class Account {
  broker = $state<BrokerStatus | null>(null);
  unread = $state(0);
  /** No BUY is sent until the trader allows it again, after a panic. */
  entriesForbidden = $state(false);
  /** The panic that this browser has seen last. */
  panicId = $state<string | null>(null);
  /** What could not be done when it was asked for. */
  panicWarnings = $state.raw<readonly string[]>([]);
  readonly #api: Api;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(api: Api) {
    this.#api = api;
  }

  start(): void {
    this.#timer ??= setInterval(() => void this.refresh(), ASK_MS);
    void this.refresh();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.broker = null;
    this.unread = 0;
    this.panicId = null;
    this.panicWarnings = [];
    this.entriesForbidden = false;
  }

  async refresh(): Promise<void> {
    const life = this.#timer;
    try {
      const broker = await call(this.#api.GET('/broker/status'));
      if (life !== this.#timer) return; // the login that asked has ended
      this.broker = broker;
      const inbox = await call(
        this.#api.GET('/notifications', { params: { query: { limit: 1, unread: true } } }),
      );
      if (life === this.#timer) this.unread = inbox.unread;
    } catch (error) {
      // The bar goes on showing what was known; the link's own sign says that the server is not heard.
      if (!(error instanceof ApiProblem)) throw error;
    }
  }

  /** The user's own account at the paper exchange: no keys to type. */
  async connectPaper(): Promise<void> {
    await call(this.#api.POST('/broker/paper'));
    await this.refresh();
  }

  async connectPaperWith(api_key: string, api_secret: string, access_token: string): Promise<void> {
    const body = { broker: 'paper', api_key, api_secret, access_token } as const;
    await call(this.#api.POST('/broker/connect', { body }));
    await this.refresh();
  }

  async disconnect(): Promise<void> {
    await call(this.#api.DELETE('/broker'));
    await this.refresh();
  }
}
