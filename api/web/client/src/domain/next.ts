/** What comes next of a strategy, in words: its time to buy or to sell, or the answer that it waits for. */

import { stopText, type Status } from './strategy';
import { countdown, millis, moment } from './time';

export interface Next {
  readonly sentence: string;
  /** When it is due, in milliseconds; null for what has no time. */
  readonly at: number | null;
}

/** `now` is the server's clock. Null for what does not run, and for what only a stop can end. */
export function nextOf(status: Status, now: number): Next | null {
  const { what, at } = status.next ?? {};
  const due = millis(at);
  const when = due === null ? '' : `${moment(due, now)}${due > now ? `, in ${countdown(due - now)}` : ''}`;
  if (what === 'buy') return { sentence: `Buys at ${when}`, at: due };
  if (what === 'sell') return { sentence: `Sells at ${when}, or earlier at ${stopText(status)}`, at: due };
  return what === 'order' ? { sentence: "Waits for the broker's answer", at: null } : null;
}

/** Of several strategies the one whose time comes first. */
export function firstOf<T extends { readonly status: Status }>(some: readonly T[], now: number): T | null {
  let first: T | null = null;
  let least = Infinity;
  for (const one of some) {
    const at = nextOf(one.status, now)?.at ?? Infinity;
    if (at >= least) continue;
    first = one;
    least = at;
  }
  return first;
}
