/** The server's clock: all ages and countdowns are read off here, so that no component has a timer of its own. */

/** A difference below this is the network's, not the phone's clock. */
const OFFSET_SHOWN_MS = 2000;

export class Clock {
  #now = $state(Date.now());
  #offset = $state(0);

  constructor() {
    setInterval(() => (this.#now = Date.now()), 1000);
  }

  /** Milliseconds since 1970, by the server, to the second. */
  get now(): number {
    return this.#now + this.#offset;
  }

  /** The same by this phone: for ages of what was received here. */
  get here(): number {
    return this.#now;
  }

  get phoneIsOff(): boolean {
    return Math.abs(this.#offset) > 5000;
  }

  /** `at`: the server's time of an answer that was just received. */
  set(at: number): void {
    const offset = at - Date.now();
    if (Math.abs(offset - this.#offset) > OFFSET_SHOWN_MS)
      this.#offset = Math.abs(offset) > OFFSET_SHOWN_MS ? offset : 0;
  }

  tick(): void {
    this.#now = Date.now();
  }
}
