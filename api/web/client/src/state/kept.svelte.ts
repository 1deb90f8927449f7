/** A choice of this browser that outlives the page. Nothing secret, and nothing of an account, is ever kept here. */

export class Kept<T extends string> {
  #value: T;
  readonly #key: string;

  constructor(key: string, known: readonly T[], usual: T) {
    this.#key = `tradeactors.${key}`;
    const stored = read(this.#key);
    this.#value = $state(known.find((value) => value === stored) ?? usual);
  }

  get current(): T {
    return this.#value;
  }

  set current(value: T) {
    this.#value = value;
    try {
      localStorage.setItem(this.#key, value);
    } catch (error) {
      // A browser that stores nothing still shows the choice until the page is closed.
      if (!(error instanceof DOMException)) throw error;
    }
  }
}

function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return null;
  }
}
