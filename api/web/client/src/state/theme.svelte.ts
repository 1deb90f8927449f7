/** Light, dark or as the system has it; and the two colours of profit and loss. */

import { Kept } from './kept.svelte';

export const THEMES = ['system', 'light', 'dark'] as const;
export const MONEY_COLOURS = ['green-red', 'blue-orange'] as const;

export class Theme {
  readonly choice = new Kept('theme', THEMES, 'system');
  readonly colours = new Kept('colours', MONEY_COLOURS, 'green-red');

  /** Writes the choice to the document; call it from an effect. */
  apply(root: HTMLElement): void {
    root.dataset['theme'] = this.choice.current;
    root.dataset['colours'] = this.colours.current;
  }
}
