/** What comes next of a strategy, in words: its time to buy or to sell, or the answer that it waits for. */

import { stopText, type Status } from './strategy';
import { countdown, millis, moment } from './time';

/** The sentence. `now` is the server's clock. Null for what does not run, and for what only a stop can end. */
export function nextOf(status: Status, now: number): string | null {
  const what = status.next?.what;
  const due = dueOf(status);
  const when = due === null ? '' : `${moment(due, now)}${due > now ? `, in ${countdown(due - now)}` : ''}`;
  if (what === 'buy') return `Buys at ${when}`;
  if (what === 'sell') return `Sells at ${when}, or earlier at ${stopText(status)}`;
  return what === 'order' ? "Waits for the broker's answer" : null;
}

/** The time of what comes next, in milliseconds; null for what has none. */
export function dueOf(status: Status): number | null {
  const { what, at } = status.next ?? {};
  return what === 'buy' || what === 'sell' ? millis(at) : null;
}

/** Of several strategies the one whose time comes first. */
export function firstOf<T extends { readonly status: Status }>(some: readonly T[]): T | null {
  let first: T | null = null;
  let least = Infinity;
  for (const one of some) {
    const at = dueOf(one.status) ?? Infinity;
    if (at >= least) continue;
    first = one;
    least = at;
  }
  return first;
}
