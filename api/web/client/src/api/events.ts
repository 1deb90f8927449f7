/**
 * The event stream, read by `fetch` since an EventSource cannot send the token.
 *
 * It resumes with the id of the last event, backs off from half a second to fifteen with jitter, and never gives up.
 * `heard` is told about every byte, pings too: the link is live only if something came within twenty seconds.
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
/** A connection on which nothing comes for so long is dead: pings are each fifteen seconds. */
const SILENCE_MS = 25_000;
const REPLACED_WAIT_MS = 60_000;

export class EventStream {
  #lastId: string | null = null;
  #abort: AbortController | null = null;
  #wake: (() => void) | null = null;
  #stopped = true;
  #heardAt = 0;
  #prices = true;
  readonly #tokens: Tokens;
  readonly #events: StreamEvents;

  constructor(tokens: Tokens, events: StreamEvents) {
    this.#tokens = tokens;
    this.#events = events;
  }

  /** Whether prices come by themselves. */
  get hasPrices(): boolean {
    return this.#prices;
  }

  start(): void {
    if (!this.#stopped) return;
    this.#stopped = false;
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.#lastId = null;
    this.#abort?.abort();
    this.#wake?.();
  }

  /** The page is visible or online again: a connection that was silent for five seconds is not trusted. */
  nudge(): void {
    if (Date.now() - this.#heardAt > 5000) this.#abort?.abort();
    this.#wake?.();
  }

  async #run(): Promise<void> {
    let wait = FIRST_WAIT_MS;
    while (!this.#stopped) {
      let problem: ApiProblem | null = null;
      const before = this.#heardAt;
      try {
        await this.#connect();
      } catch (error) {
        problem = error instanceof ApiProblem ? error : null;
        if (problem === null && !isNetworkError(error)) throw error;
      }
      if (this.#stopped) return;
      this.#events.closed(problem);
      wait = this.#heardAt > before ? FIRST_WAIT_MS : Math.min(wait * 2, LONGEST_WAIT_MS);
      const asked = problem?.code === 'replaced' ? REPLACED_WAIT_MS : (problem?.retryAfterS ?? 0) * 1000;
      await this.#sleep(Math.max(asked, wait * (0.5 + Math.random() / 2)));
    }
  }

  async #connect(): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    const token = this.#tokens.access ?? (await this.#tokens.refresh());
    const response = await this.#open(token, abort.signal);
    this.#heard();
    this.#events.opened();
    let replaced = false;
    const parser = createParser({
      onEvent: ({ event, data, id }) => {
        if (id) this.#lastId = id;
        if (event === 'replaced') replaced = true;
        this.#events.event(event ?? 'message', JSON.parse(data));
      },
    });
    await this.#read(response, abort, (text) => parser.feed(text));
    if (replaced) {
      throw new ApiProblem('refused', 0, { code: 'replaced', detail: 'Another window took the live link.' });
    }
  }

  async #open(token: string, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' };
    if (this.#lastId) headers['Last-Event-ID'] = this.#lastId;
    let response: Response;
    try {
      const address = this.#prices ? '/strategy/events?prices=true' : '/strategy/events';
      response = await fetch(address, { headers, signal, cache: 'no-store' });
    } catch (error) {
      if ((error as Error).name === 'AbortError') throw error;
      throw unreachable();
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (response.status === 401) await this.#tokens.refresh();
    // An older server does not know `prices`, and an id may be one that this server cannot read.
    if (response.status === 422) {
      if (this.#prices) this.#prices = false;
      else this.#lastId = null;
    }
    throw problem;
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
