/** How the verdict on the day and each check look. */

import type { components } from '../api/schema';
import type { Pattern, Sign, Tone } from '../domain/states';

type Schemas = components['schemas'];
export type Readiness = Schemas['ReadinessAnswer'];
type Check = Readiness['checks'][number];

interface Look {
  readonly word: string;
  readonly sign: Sign;
  readonly tone: Tone;
}

export const VERDICTS: Readonly<Record<Readiness['verdict'], Look & { pattern: Pattern }>> = {
  ready: { word: 'Ready: nothing is in the way', sign: 'check', tone: 'good', pattern: 'solid' },
  attention: { word: 'Look at this before the open', sign: 'alert', tone: 'warning', pattern: 'dashed' },
  blocked: {
    word: 'Something will not trade as it stands',
    sign: 'cross',
    tone: 'danger',
    pattern: 'double',
  },
  no_session: { word: 'No trade today any more', sign: 'clock', tone: 'neutral', pattern: 'thin' },
};

export const CHECK_LOOKS: Readonly<Record<Check['level'], Look>> = {
  ok: { word: 'OK', sign: 'check', tone: 'good' },
  warn: { word: 'Look', sign: 'alert', tone: 'warning' },
  unknown: { word: 'Not known', sign: 'question', tone: 'warning' },
  block: { word: 'Blocks', sign: 'cross', tone: 'danger' },
};

/** What helps, and on which page; without a page it is said only. */
export const FIXES: Readonly<
  Record<NonNullable<Check['fix']>['kind'], { word: string; page: string | null }>
> = {
  login: { word: 'Log in at the broker', page: 'broker' },
  connect: { word: 'Connect a broker', page: 'broker' },
  funds: { word: 'Add money at the broker, or buy less.', page: null },
  edit: { word: 'Change the strategy', page: 'edit' },
  unlock: { word: 'Allow entries again', page: 'panic' },
  operator: { word: 'Only the operator of this server can mend this.', page: null },
};

export function willTrade(will: boolean | null): Look {
  if (will === null) return { word: 'Not known', sign: 'question', tone: 'warning' };
  return will
    ? { word: 'Will trade', sign: 'check', tone: 'good' }
    : { word: 'Will not trade', sign: 'cross', tone: 'danger' };
}
