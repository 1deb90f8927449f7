/** What a screen reader says: when it is idle, or at once for what is dangerous. It is also shown for a while. */

import { spoken } from '../domain/time';

export interface Said {
  readonly id: number;
  readonly text: string;
  readonly urgent: boolean;
  readonly about: string;
}

const SHOWN_MS = 8000;
const MOST = 2;

export class Announcer {
  #next = 1;
  #said = $state<Said[]>([]);

  get said(): readonly Said[] {
    return this.#said;
  }

  /** `about`: what it is of; a newer word about the same takes the place of the older one. */
  say(text: string, urgent = false, about = ''): void {
    const one = { id: this.#next++, text: spoken(text), urgent, about };
    this.#said = [...this.#said.filter((other) => other.about !== about), one].slice(-MOST);
    setTimeout(() => this.dismiss(one.id), urgent ? SHOWN_MS * 2 : SHOWN_MS);
  }

  dismiss(id: number): void {
    this.#said = this.#said.filter((one) => one.id !== id);
  }
}
