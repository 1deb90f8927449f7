/** The price trails of all symbols, for as long as the page is open. */

import { SvelteMap } from 'svelte/reactivity';
import { extend, pointsOf, type Point, type Trail } from '../domain/trail';

export class Trails {
  readonly #trails = new Map<string, Trail>();
  /** How many prices each has seen: what a chart watches. */
  readonly #versions = new SvelteMap<string, number>();

  see(symbol: string, atMs: number, price: number): void {
    const trail = this.#trails.get(symbol) ?? [];
    extend(trail, atMs, price);
    this.#trails.set(symbol, trail);
    this.#versions.set(symbol, (this.#versions.get(symbol) ?? 0) + 1);
  }

  of(symbol: string): readonly Point[] {
    return pointsOf(this.#trails.get(symbol) ?? []);
  }

  version(symbol: string): number {
    return this.#versions.get(symbol) ?? 0;
  }

  clear(): void {
    this.#trails.clear();
    this.#versions.clear();
  }
}
