/** The prices of a share that this page has seen, one a second at most: what the chart is drawn from. */

export interface Point {
  /** Seconds since 1970. */
  readonly time: number;
  readonly value: number;
}

/** Two hours of one a second; older ones go. */
const MOST = 7200;

/** Adds a price to a trail, in place. A second that is there already has its newest price; an older one is passed over. */
export function extend(trail: Point[], atMs: number, value: number): void {
  const time = Math.floor(atMs / 1000);
  const last = trail.at(-1);
  if (last && time < last.time) return;
  if (last && time === last.time) trail.pop();
  trail.push({ time, value });
  if (trail.length > MOST) trail.splice(0, trail.length - MOST);
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
