/** Whether the server is heard, and what the bar on top says about it. */

import { LINK_LOST_MS } from './freshness';
import type { Pattern, Sign, Tone } from './states';
import { time } from './time';

/** `heardAt`: when the last byte of the event stream came; null: none yet. */
export interface Link {
  readonly online: boolean;
  readonly open: boolean;
  readonly heardAt: number | null;
  readonly reachable: boolean;
}

export type LinkState = 'live' | 'connecting' | 'lost' | 'offline' | 'unreachable';

export interface LinkView {
  readonly state: LinkState;
  readonly word: string;
  readonly sign: Sign;
  readonly tone: Tone;
  readonly pattern: Pattern;
  readonly sentence: string;
}

export function linkState(link: Link, now: number): LinkState {
  if (!link.online) return 'offline';
  if (link.open && link.heardAt !== null && now - link.heardAt <= LINK_LOST_MS) return 'live';
  if (!link.reachable) return 'unreachable';
  return link.heardAt === null ? 'connecting' : 'lost';
}

export function linkView(link: Link, now: number): LinkView {
  const state = linkState(link, now);
  const asOf = link.heardAt === null ? '' : ` This is the picture of ${time(link.heardAt)}.`;
  const alone = ' Strategies go on without this phone.';
  switch (state) {
    case 'live':
      return view(state, 'Live', 'check', 'good', 'thin', 'Every change arrives at once.');
    case 'connecting':
      return view(
        state,
        'Connecting',
        'clock',
        'neutral',
        'dotted',
        'Asking the server for the newest picture.',
      );
    case 'lost':
      return view(
        state,
        'Link lost',
        'eye-off',
        'warning',
        'dashed',
        `Nothing is heard from the server.${asOf}${alone}`,
      );
    case 'offline':
      return view(
        state,
        'Phone offline',
        'plug-off',
        'warning',
        'dashed',
        `This phone has no network.${asOf}${alone}`,
      );
    case 'unreachable':
      return view(
        state,
        'Server not reached',
        'plug-off',
        'danger',
        'dashed',
        `This phone is online, but the server does not answer.${asOf} Whether strategies go on is not known here.`,
      );
  }
}

function view(
  state: LinkState,
  word: string,
  sign: Sign,
  tone: Tone,
  pattern: Pattern,
  sentence: string,
): LinkView {
  return { state, word, sign, tone, pattern, sentence };
}
