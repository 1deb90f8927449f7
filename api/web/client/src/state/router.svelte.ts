/** A hash router: `#/strategy/42` keeps working offline, and the server needs to know one page only. */

import { tick } from 'svelte';

export interface Place {
  /** First part of the path; empty for the start. */
  readonly page: string;
  readonly rest: readonly string[];
}

export class Router {
  #place = $state(parse(location.hash));
  /** Asked before a page with typed text is left; false keeps it. */
  guard: (() => boolean) | null = null;
  /** Whether one came here from another page: only then is the focus moved. */
  moved = false;

  constructor() {
    window.addEventListener('hashchange', (event) => {
      if (this.guard && !this.guard()) {
        history.replaceState(null, '', new URL(event.oldURL).hash);
        return;
      }
      this.guard = null;
      this.moved = true;
      this.#place = parse(location.hash);
      void tick().then(focusHeading);
    });
  }

  get place(): Place {
    return this.#place;
  }

  go(path: string): void {
    location.hash = `#/${path}`;
  }

  /** Without a step in the history. */
  replace(path: string): void {
    history.replaceState(null, '', `#/${path}`);
    this.#place = parse(location.hash);
  }
}

function parse(hash: string): Place {
  const [page = '', ...rest] = hash.replace(/^#\/?/, '').split('/').map(decoded);
  return { page, rest };
}

/** An address that was cut off in the middle is no reason to show nothing. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    return part;
  }
}

/** A screen reader hears the name of the new page; the page begins at its top. */
export function focusHeading(): void {
  window.scrollTo(0, 0);
  document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
}
