/** The price trails of all symbols, for as long as the page lives. */

import { SvelteMap } from 'svelte/reactivity';
import { extend, type Point } from '../domain/trail';

export class Trails {
  readonly #points = new Map<string, Point[]>();
  /** How many prices each has seen: what a chart watches. */
  readonly #versions = new SvelteMap<string, number>();

  see(symbol: string, atMs: number, price: number): void {
    const points = this.#points.get(symbol) ?? [];
    extend(points, atMs, price);
    this.#points.set(symbol, points);
    this.#versions.set(symbol, (this.#versions.get(symbol) ?? 0) + 1);
  }

  of(symbol: string): readonly Point[] {
    return this.#points.get(symbol) ?? [];
  }

  version(symbol: string): number {
    return this.#versions.get(symbol) ?? 0;
  }

  clear(): void {
    this.#points.clear();
    this.#versions.clear();
  }
}
