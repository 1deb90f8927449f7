/** What a notice is about, in a word and a sign. Kinds that a newer server has are shown, too. */

import type { Sign, Tone } from '../domain/states';
import type { Notice } from '../domain/strategy';

interface Look {
  readonly word: string;
  readonly sign: Sign;
}

export const KINDS: Readonly<Record<string, Look>> = {
  fill_entry: { word: 'Bought', sign: 'arrow-up' },
  exit_stop: { word: 'Stop-loss', sign: 'arrow-down' },
  exit_time: { word: 'Sold at its time', sign: 'clock' },
  exit_target: { word: 'Target reached', sign: 'check' },
  exit_manual: { word: 'Sold by you', sign: 'arrow-down' },
  not_bought: { word: 'Not bought', sign: 'cross' },
  closed_outside: { word: 'Closed outside', sign: 'minus' },
  exit_trouble: { word: 'Not sold', sign: 'alert' },
  feed_lost: { word: 'Prices fail', sign: 'shield-off' },
  unknown_outcome: { word: 'Order not known', sign: 'question' },
  guard_lost: { word: 'Not guarded', sign: 'shield-off' },
  will_not_trade: { word: 'Will not trade', sign: 'alert' },
  readiness: { word: 'Readiness', sign: 'check' },
  login_needed: { word: 'Broker login', sign: 'plug-off' },
  schedule: { word: 'Schedule', sign: 'clock' },
  limit_hit: { word: 'Limit reached', sign: 'cross' },
  panic: { word: 'Sell everything', sign: 'alert' },
  day_summary: { word: 'The day', sign: 'minus' },
  security: { word: 'Security', sign: 'alert' },
  test: { word: 'Test', sign: 'check' },
};

export function lookOf(notice: Notice): Look & { tone: Tone } {
  const known = KINDS[notice.kind] ?? { word: notice.kind.replaceAll('_', ' '), sign: 'minus' as const };
  if (notice.resolves) return { word: `${known.word}: over`, sign: 'check', tone: 'good' };
  return { ...known, tone: notice.at_risk ? 'danger' : 'neutral' };
}
