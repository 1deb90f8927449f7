/**
 * The event stream, read by `fetch` since an EventSource cannot send the token.
 *
 * It resumes with the id of the last event, backs off from half a second to fifteen with jitter, and never gives up.
 * The server ends a connection with its token. So with each new token the next connection opens first, and then the one
 * before is closed: nothing is missed, and the link is not lost for a moment. What comes twice is the same.
 * `heard` is called for every byte, pings too: the link is live only if something came within twenty seconds.
 */

import { createParser } from 'eventsource-parser';
import { ApiProblem, problemOf, unreachable } from './problems';
import type { Tokens } from './tokens';

export interface StreamEvents {
  event(name: string, data: unknown): void;
  heard(): void;
  /** A connection was accepted. */
  opened(): void;
  closed(problem: ApiProblem | null): void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15_000;
/** How long nothing may come on a connection before it counts as dead: pings are each fifteen seconds. */
const SILENCE_MS = 25_000;
const REPLACED_WAIT_MS = 60_000;

interface Connection {
  readonly response: Response;
  readonly abort: AbortController;
  readonly token: string;
}

export class EventStream {
  #lastId: string | null = null;
  #current: Connection | null = null;
  #next: Connection | null = null;
  #changing: Promise<void> | null = null;
  /** Of the connection that is read and of the one that is being opened. */
  readonly #aborts = new Set<AbortController>();
  #wake: (() => void) | null = null;
  /** From `start` to `stop`: a run that was stopped does not go on beside the next one. */
  #running: AbortController | null = null;
  #atOnce = false;
  #heardAt = 0;
  #prices = true;
  readonly #tokens: Tokens;
  readonly #events: StreamEvents;

  constructor(tokens: Tokens, events: StreamEvents) {
    this.#tokens = tokens;
    this.#events = events;
    tokens.whenRenewed(() => void this.#change());
  }

  /** Whether prices come by themselves. */
  get hasPrices(): boolean {
    return this.#prices;
  }

  start(): void {
    if (this.#running) return;
    this.#running = new AbortController();
    void this.#run(this.#running.signal);
  }

  stop(): void {
    this.#running?.abort();
    this.#running = null;
    this.#lastId = null;
    this.#abortAll();
    this.#wake?.();
  }

  /** The page is visible or online again: a connection that was silent for five seconds is not trusted. */
  nudge(): void {
    if (Date.now() - this.#heardAt > 5000 && this.#aborts.size > 0) {
      this.#atOnce = true;
      this.#abortAll();
    }
    this.#wake?.();
  }

  async #run(stopped: AbortSignal): Promise<void> {
    let wait = FIRST_WAIT_MS;
    while (!stopped.aborted) {
      let problem: ApiProblem | null = null;
      const before = this.#heardAt;
      try {
        await this.#connect(stopped);
      } catch (error) {
        problem = error instanceof ApiProblem ? error : null;
        if (problem === null && !isNetworkError(error)) throw error;
      }
      if (stopped.aborted) return;
      this.#events.closed(problem);
      wait = this.#heardAt > before ? FIRST_WAIT_MS : Math.min(wait * 2, LONGEST_WAIT_MS);
      if (this.#atOnce) {
        this.#atOnce = false;
        continue;
      }
      const asked = problem?.code === 'replaced' ? REPLACED_WAIT_MS : (problem?.retryAfterS ?? 0) * 1000;
      await this.#sleep(Math.max(asked, wait * (0.5 + Math.random() / 2)));
    }
  }

  async #connect(stopped: AbortSignal): Promise<void> {
    let replaced = false;
    const first = await this.#open();
    if (stopped.aborted) {
      first.abort.abort();
      return;
    }
    this.#current = first;
    this.#events.opened();
    try {
      while (this.#current) {
        if (this.#current.token !== this.#tokens.access) void this.#change();
        replaced = await this.#follow(this.#current);
        await this.#changing;
        this.#current = this.#next;
        this.#next = null;
      }
    } finally {
      this.#current = null;
    }
    if (replaced) {
      throw new ApiProblem('refused', 0, { code: 'replaced', detail: 'Another window took the live link.' });
    }
  }

  #change(): Promise<void> {
    this.#changing ??= this.#openNext().finally(() => (this.#changing = null));
    return this.#changing;
  }

  /** Opens the next connection while the one before still speaks. If it cannot, that one goes on until its token ends. */
  async #openNext(): Promise<void> {
    const before = this.#current;
    const token = this.#tokens.access;
    if (!before || !token || before.token === token) return;
    try {
      this.#next = await this.#open();
      before.abort.abort();
    } catch (error) {
      if (!(error instanceof ApiProblem) && !isNetworkError(error)) throw error;
    }
  }

  async #open(): Promise<Connection> {
    const token = this.#tokens.access ?? (await this.#tokens.refresh());
    const headers: Record<string, string> = { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' };
    if (this.#lastId) headers['Last-Event-ID'] = this.#lastId;
    const address = this.#prices ? '/strategy/events?prices=true' : '/strategy/events';
    const abort = new AbortController();
    this.#aborts.add(abort);
    const silence = setTimeout(() => abort.abort(), SILENCE_MS);
    let response: Response | null = null;
    try {
      response = await fetch(address, { headers, signal: abort.signal, cache: 'no-store' });
    } catch (error) {
      if ((error as Error).name === 'AbortError') throw error;
      throw unreachable();
    } finally {
      clearTimeout(silence);
      if (!response?.ok) this.#aborts.delete(abort);
    }
    if (!response.ok) throw await this.#refused(response);
    this.#heard();
    return { response, abort, token };
  }

  async #refused(response: Response): Promise<ApiProblem> {
    const problem = await problemOf(response);
    if (response.status === 401) await this.#tokens.refresh();
    // An older server does not know `prices`, and an id may be one that this server cannot read.
    if (response.status === 422) {
      if (this.#prices) this.#prices = false;
      else this.#lastId = null;
    }
    return problem;
  }

  /** To its end, also that which a next connection makes. Whether the server gave its place to another window. */
  async #follow({ response, abort }: Connection): Promise<boolean> {
    let replaced = false;
    const parser = createParser({
      onEvent: ({ event, data, id }) => {
        if (id) this.#lastId = id;
        if (event === 'replaced') replaced = true;
        this.#events.event(event ?? 'message', JSON.parse(data));
      },
    });
    try {
      await this.#read(response, abort, (text) => parser.feed(text));
    } catch (error) {
      await this.#changing;
      if (!this.#next || !isNetworkError(error)) throw error;
    } finally {
      this.#aborts.delete(abort);
    }
    return replaced;
  }

  async #read(response: Response, abort: AbortController, feed: (text: string) => void): Promise<void> {
    if (!response.body) return;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let silence = setTimeout(() => abort.abort(), SILENCE_MS);
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENCE_MS);
        this.#heard();
        feed(value);
      }
    } finally {
      clearTimeout(silence);
      abort.abort();
    }
  }

  #abortAll(): void {
    for (const abort of this.#aborts) abort.abort();
  }

  #heard(): void {
    this.#heardAt = Date.now();
    this.#events.heard();
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** Connections that break and those that we abort: the next turn of the loop connects again. */
function isNetworkError(error: unknown): boolean {
  return error instanceof TypeError || (error instanceof DOMException && error.name === 'AbortError');
}
