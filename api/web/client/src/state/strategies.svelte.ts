/** All strategies of the user, kept up to date by the event stream and by looks at what is on the screen. */

import { SvelteMap } from 'svelte/reactivity';
import { call, type Api } from '../api/client';
import { EventStream } from '../api/events';
import { ApiProblem } from '../api/problems';
import type { Tokens } from '../api/tokens';
import type { Stakes } from '../domain/broker';
import { newer, type Received } from '../domain/freshness';
import type { Link } from '../domain/link';
import { unrealised } from '../domain/money';
import { groupOf, holds, shortSymbol, type Definition, type Status } from '../domain/strategy';
import type { Clock } from './clock.svelte';
import { Trails } from './trails.svelte';

const PAGE = 100;
/** How often a held position is looked at: its guards confirm without an event. */
const LOOK_MS = 8_000;
const LOOK_WAITING_MS = 30_000;
/** The same where the stream brings no prices. */
const LOOK_FOR_PRICES_MS = 2_000;
/** How many looks a second there are at most, so that two hundred strategies stay within the limit of requests. */
const MOST_LOOKS = 8;

/** What an `account` event tells, as far as it is needed here. */
export interface AccountChange {
  readonly entries_forbidden: boolean;
}

interface PriceEvent {
  readonly prices: readonly (Pick<
    Status,
    'last_price' | 'last_price_age_ms' | 'feed' | 'feed_lag_ms' | 'feed_since'
  > & {
    readonly symbol: string;
  })[];
}

export class Strategies {
  readonly received = new SvelteMap<number, Received>();
  readonly definitions = new SvelteMap<number, Definition>();
  readonly trails = new Trails();
  link = $state<Link>({ online: navigator.onLine, open: false, heardAt: null, reachable: true });
  /** Whether the first picture is whole. */
  loaded = $state(false);
  /** Whether the definitions are whole, and why not. */
  listed = $state(false);
  listProblem = $state<ApiProblem | null>(null);
  /** Called for each status that changed something. */
  onchange: (before: Status | undefined, after: Status) => void = () => {};
  /** The account has changed: the broker's login, or whether entries are forbidden. */
  onaccount: (change: AccountChange | null) => void = () => {};
  /** A connection has begun, with a server of this version. */
  onhello: (version: string) => void = () => {};
  readonly #api: Api;
  readonly #clock: Clock;
  readonly #stream: EventStream;
  #looks: ReturnType<typeof setInterval> | undefined;
  #lookedAt = new Map<number, number>();
  #snapshot: Set<number> | null = null;
  #loading: Promise<void> | null = null;
  #wanted = false;
  /** Grows with each login that ends: an answer to the one before is of no interest to the next. */
  #life = 0;

  constructor(api: Api, tokens: Tokens, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
    this.#stream = new EventStream(tokens, {
      event: (name, data) => this.#event(name, data),
      heard: () => (this.link = { ...this.link, heardAt: Date.now(), reachable: true }),
      opened: () => (this.link = { ...this.link, open: true, reachable: true }),
      closed: (problem) => {
        const reachable = problem === null ? this.link.reachable : problem.kind === 'refused';
        this.link = { ...this.link, open: false, reachable };
      },
    });
    window.addEventListener('online', () => this.#woken(true));
    window.addEventListener('offline', () => (this.link = { ...this.link, online: false }));
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#woken(navigator.onLine);
    });
  }

  start(): void {
    this.#stream.start();
    void this.loadDefinitions();
    this.#looks ??= setInterval(() => void this.#look(), 1000);
  }

  stop(): void {
    this.#life++;
    this.#stream.stop();
    clearInterval(this.#looks);
    this.#looks = undefined;
    this.received.clear();
    this.definitions.clear();
    this.trails.clear();
    this.loaded = this.listed = false;
    this.listProblem = null;
    this.link = { ...this.link, open: false, heardAt: null };
  }

  retry(): void {
    this.#stream.nudge();
  }

  symbol(id: number): string {
    return (
      shortSymbol(this.received.get(id)?.status.symbol ?? this.definitions.get(id)?.symbol) ||
      `Strategy ${id}`
    );
  }

  product(id: number): string {
    return this.received.get(id)?.status.product ?? this.definitions.get(id)?.product ?? '';
  }

  /** Asks the server how one strategy stands: after an action, or whenever its answer was lost. */
  async ask(id: number): Promise<Status> {
    const life = this.#life;
    const status = await call(
      this.#api.GET('/strategy/status/{strategy_id}', { params: { path: { strategy_id: id } } }),
    );
    if (life === this.#life) this.take(status);
    return status;
  }

  async askDefinition(id: number): Promise<Definition> {
    const life = this.#life;
    const definition = await call(
      this.#api.GET('/strategy/{strategy_id}', { params: { path: { strategy_id: id } } }),
    );
    if (life === this.#life) this.definitions.set(id, definition);
    return definition;
  }

  /** One at a time: a first picture of two hundred strategies asks for two lists, not for two hundred. */
  loadDefinitions(): Promise<void> {
    if (this.#loading) this.#wanted = true;
    this.#loading ??= this.#loadAll().finally(() => (this.#loading = null));
    return this.#loading;
  }

  async #loadAll(): Promise<void> {
    do {
      this.#wanted = false;
      await this.#loadList();
    } while (this.#wanted);
  }

  async #loadList(): Promise<void> {
    const life = this.#life;
    const known = [...this.definitions.keys()];
    const seen = new Set<number>();
    try {
      let steady = true;
      for (let offset = 0, total = 1; offset < total; offset += PAGE) {
        const page = await call(
          this.#api.GET('/strategy/list', { params: { query: { limit: PAGE, offset } } }),
        );
        if (life !== this.#life) return;
        for (const definition of page.strategies) {
          seen.add(definition.strategy_id);
          this.definitions.set(definition.strategy_id, definition);
        }
        // One that is deleted between two pages moves the others up: one of them is then on neither page.
        if (offset && page.total !== total) steady = false;
        total = page.total;
      }
      if (steady) for (const id of known) if (!seen.has(id)) this.forget(id);
      this.listed = true;
      this.listProblem = null;
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      if (life === this.#life) this.listProblem = error;
    }
  }

  /** Takes a status that was received just now, unless a newer one is held. */
  take(status: Status): void {
    const held = this.received.get(status.strategy_id);
    if (!newer(held?.status, status)) return;
    this.received.set(status.strategy_id, { status, at: Date.now() });
    this.#see(status, Date.now());
    if (held?.status.updated_at !== status.updated_at) this.onchange(held?.status, status);
  }

  forget(id: number): void {
    this.received.delete(id);
    this.definitions.delete(id);
  }

  get statuses(): Received[] {
    return [...this.received.values()];
  }

  get holding(): Received[] {
    return this.statuses.filter(({ status }) => groupOf(status) === 'holding');
  }

  /** What depends on the broker's login. */
  get stakes(): Stakes {
    const refused = this.statuses.some(
      ({ status }) =>
        status.strategy_status !== 'stopped' && status.status_detail === 'broker_session_expired',
    );
    return { held: this.holding.length > 0, nextBuy: this.#nextBuy(), refused };
  }

  #nextBuy(): number | null {
    const due = this.statuses
      .filter(({ status }) => ['waiting', 'paused'].includes(groupOf(status)) && status.buy_at)
      .map(({ status }) => Date.parse(status.buy_at ?? ''));
    return due.length ? Math.min(...due) : null;
  }

  #event(name: string, data: unknown): void {
    switch (name) {
      case 'snapshot':
        this.#snapshot ??= new Set();
        this.#snapshot.add((data as Status).strategy_id);
        this.#taken(data as Status);
        return;
      case 'snapshot_end':
        this.#endSnapshot();
        return;
      case 'strategy':
        this.#taken(data as Status);
        return;
      case 'deleted':
        this.forget((data as { strategy_id: number }).strategy_id);
        return;
      case 'account':
        this.onaccount(data as AccountChange);
        return;
      case 'hello': {
        const { time, version } = data as { time: string; version: string };
        const at = Date.parse(time);
        if (!Number.isNaN(at)) this.#clock.set(at);
        this.onhello(version);
        this.onaccount(null);
        return;
      }
      case 'prices':
        this.#prices(data as PriceEvent);
    }
  }

  #taken(status: Status): void {
    this.take(status);
    if (!this.definitions.has(status.strategy_id)) void this.loadDefinitions();
  }

  /** What runs and was not in a whole snapshot is no longer there. */
  #endSnapshot(): void {
    for (const [id, { status }] of this.received) {
      const runs = status.strategy_status === 'running' || status.strategy_status === 'paused';
      if (runs && !this.#snapshot?.has(id)) this.received.delete(id);
    }
    this.#snapshot = null;
    // Others may have been deleted while nothing was heard.
    if (this.loaded) void this.loadDefinitions();
    this.loaded = true;
  }

  #prices({ prices }: PriceEvent): void {
    const bySymbol = new Map(prices.map(({ symbol, ...price }) => [symbol, price]));
    for (const [id, received] of this.received) {
      const price = bySymbol.get(received.status.symbol ?? this.definitions.get(id)?.symbol ?? '');
      if (!price || received.status.strategy_status === 'stopped') continue;
      const { unrealised_pnl: before, buy_price, filled_quantity } = received.status;
      const unrealised_pnl = before == null ? null : unrealised(price.last_price, buy_price, filled_quantity);
      const status = { ...received.status, ...price, unrealised_pnl };
      this.received.set(id, { ...received, status, priceAt: Date.now() });
      this.#see(status, Date.now());
    }
  }

  #see(status: Status, at: number): void {
    const { last_price, last_price_age_ms } = status;
    if (last_price === null || last_price_age_ms === null) return;
    this.trails.see(this.symbol(status.strategy_id), at - last_price_age_ms, last_price);
  }

  /** Once a second: at the held position, or the waiting one, that was looked at longest ago. */
  async #look(): Promise<void> {
    if (document.visibilityState !== 'visible' || !this.link.open) return;
    const now = Date.now();
    const often = this.#stream.hasPrices ? LOOK_MS : LOOK_FOR_PRICES_MS;
    const due = this.statuses
      .filter(({ status }) => status.strategy_status === 'running' || status.strategy_status === 'paused')
      .map(({ status, at }) => ({
        id: status.strategy_id,
        wait:
          (holds(status) ? often : LOOK_WAITING_MS) -
          (now - Math.max(at, this.#lookedAt.get(status.strategy_id) ?? 0)),
      }))
      .filter(({ wait }) => wait <= 0)
      .sort((a, b) => a.wait - b.wait)
      .slice(0, MOST_LOOKS);
    for (const { id } of due) this.#lookedAt.set(id, now);
    await Promise.all(due.map(({ id }) => this.#lookAt(id)));
  }

  async #lookAt(id: number): Promise<void> {
    try {
      await this.ask(id);
    } catch (error) {
      if (!(error instanceof ApiProblem)) throw error;
      if (error.status === 404) this.forget(id);
    }
  }

  #woken(online: boolean): void {
    this.#clock.tick();
    this.link = { ...this.link, online };
    this.#stream.nudge();
  }
}
