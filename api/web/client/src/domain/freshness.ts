/** How old a price or a status is, by the server's clock, and what that age means. */

import type { Status } from './strategy';

/** Up to this age a price is shown without a remark. */
export const FRESH_MS = 5_000;
/** From this age on a price is stale: it is grey, and P&L is "as of". */
export const STALE_MS = 15_000;
/** How long no byte may come before the link is lost: pings come every 15 seconds. */
export const LINK_LOST_MS = 20_000;

export type Freshness = 'fresh' | 'ageing' | 'stale' | 'unknown';

/** A status and when this browser received it (`Date.now()`); `priceAt`: a newer price of it came by itself. */
export interface Received {
  readonly status: Status;
  readonly at: number;
  readonly priceAt?: number;
}

/** Age of the last price now: what the server said, and the time since. Null if the server did not say. */
export function priceAge(received: Received, now: number): number | null {
  const told = received.status.last_price_age_ms;
  return told == null ? null : told + Math.max(0, now - (received.priceAt ?? received.at));
}

export function freshness(ageMs: number | null): Freshness {
  if (ageMs === null) return 'unknown';
  if (ageMs < FRESH_MS) return 'fresh';
  return ageMs < STALE_MS ? 'ageing' : 'stale';
}

/** Of two statuses of one strategy the one to show: a state may come twice, and an older one after a newer one. */
export function newer(held: Status | undefined, came: Status): boolean {
  return held === undefined || Date.parse(came.updated_at) >= Date.parse(held.updated_at);
}
