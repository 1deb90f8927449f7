/** What a screen reader is told: politely, or at once for what is dangerous. Also shown, for a while, to everybody. */

export interface Said {
  readonly id: number;
  readonly text: string;
  readonly urgent: boolean;
}

const SHOWN_MS = 8000;
const MOST = 3;

export class Announcer {
  #next = 1;
  #said = $state<Said[]>([]);

  get said(): readonly Said[] {
    return this.#said;
  }

  say(text: string, urgent = false): void {
    if (this.#said.some((one) => one.text === text)) return;
    const one = { id: this.#next++, text, urgent };
    this.#said = [...this.#said, one].slice(-MOST);
    setTimeout(() => this.dismiss(one.id), urgent ? SHOWN_MS * 2 : SHOWN_MS);
  }

  dismiss(id: number): void {
    this.#said = this.#said.filter((one) => one.id !== id);
  }
}
