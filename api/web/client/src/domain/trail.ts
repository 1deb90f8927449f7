/** The prices of a share that this page has seen, one a second at most: what the chart is drawn from. */

export interface Point {
  /** Seconds since 1970. */
  readonly time: number;
  readonly value: number;
}

/** Seconds and prices in turn: of two hundred shares, a list of objects would take four times the memory. */
export type Trail = number[];

/** Half an hour of one a second; older ones go, and the minute bars tell of them. */
const MOST = 1800;

/** Adds a price to a trail, in place. A second that is there already has its newest price; an older one is passed over. */
export function extend(trail: Trail, atMs: number, value: number): void {
  const time = Math.floor(atMs / 1000);
  const last = trail.at(-2) ?? -Infinity;
  if (time < last) return;
  if (time === last) trail.length -= 2;
  trail.push(time, value);
  if (trail.length > 2 * MOST) trail.splice(0, trail.length - 2 * MOST);
}

export function pointsOf(trail: Trail): readonly Point[] {
  return Array.from({ length: trail.length / 2 }, (_, index) => ({
    time: trail[2 * index] ?? 0,
    value: trail[2 * index + 1] ?? 0,
  }));
}

/** `between 1,500.10 and 1,512.00`, for those who do not see the chart. */
export function range(trail: readonly Point[]): { low: number; high: number } | null {
  if (trail.length === 0) return null;
  let low = Infinity;
  let high = -Infinity;
  for (const { value } of trail) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return { low, high };
}

export interface Bar {
  readonly at: string;
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
}

/**
 * Minute bars and the prices that the page saw, as one line. A bar is walked open, low, high, close, as a recorded day
 * is replayed; of a minute that the page has seen, only what was before its first price is drawn from the bar.
 */
export function joined(bars: readonly Bar[], trail: readonly Point[]): readonly Point[] {
  if (bars.length === 0) return trail;
  const firstSeen = new Map<number, number>();
  for (const { time } of trail) {
    const minute = Math.floor(time / 60);
    if (!firstSeen.has(minute)) firstSeen.set(minute, time);
  }
  const walked = bars.flatMap((bar) => {
    const start = Math.floor(Date.parse(bar.at) / 1000);
    const until = firstSeen.get(Math.floor(start / 60)) ?? Infinity;
    return [bar.open, bar.low, bar.high, bar.close]
      .map((value, step) => ({ time: start + step * 15, value }))
      .filter(({ time }) => time < until);
  });
  return [...walked, ...trail].sort((a, b) => a.time - b.time);
}
