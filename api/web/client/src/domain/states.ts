/**
 * How a strategy's state looks: a word, a sign, a pattern, a tone and a sentence, so that no two states differ by
 * colour alone. The worst state that holds is the one that is shown.
 */

import { freshness, priceAge, type Received } from './freshness';
import { holds, type Status } from './strategy';
import { moment, spoken, time } from './time';

/** What the colour means, and how urgently it is announced: `danger` is an alert. */
export type Tone = 'danger' | 'warning' | 'info' | 'good' | 'neutral';
/** Border or hatch of a card: the part of a state that is seen without colours. */
export type Pattern = 'solid' | 'hatch' | 'dashed' | 'dotted' | 'double' | 'thin';
export type Sign =
  | 'shield'
  | 'shield-off'
  | 'alert'
  | 'question'
  | 'clock'
  | 'pause'
  | 'check'
  | 'cross'
  | 'arrow-up'
  | 'arrow-down'
  | 'queue'
  | 'plug-off'
  | 'minus'
  | 'eye-off';
/** What the trader can do about it; the screen decides how it looks. */
export type Offer =
  'sell-now' | 'broker-login' | 'open-broker' | 'say-held' | 'say-closed' | 'edit' | 'timeline';

export interface View {
  readonly key: string;
  readonly word: string;
  readonly sign: Sign;
  readonly pattern: Pattern;
  readonly tone: Tone;
  readonly sentence: string;
  readonly offers: readonly Offer[];
}

type Look = Omit<View, 'sentence' | 'key'>;

const LOOKS = {
  exit_failed: look('Not sold', 'alert', 'double', 'danger', ['broker-login', 'open-broker', 'timeline']),
  needs_confirmation: look('Held or sold?', 'question', 'hatch', 'danger', ['say-held', 'say-closed']),
  feed_down: look('Not guarded', 'shield-off', 'hatch', 'danger', ['sell-now', 'timeline']),
  arming: look('Guard being set', 'shield', 'dotted', 'info', ['sell-now']),
  not_guarded: look('Not guarded', 'shield-off', 'hatch', 'danger', ['sell-now', 'timeline']),
  unseen: look('Not known now', 'eye-off', 'dashed', 'neutral', []),
  order_unknown: look('Order not known', 'question', 'dashed', 'warning', ['open-broker', 'timeline']),
  account_short: look('Account is short', 'alert', 'double', 'danger', ['open-broker', 'timeline']),
  budget_used_up: look('Order limit reached', 'cross', 'double', 'danger', ['open-broker']),
  no_buyers: look('Waits for buyers', 'queue', 'dashed', 'danger', ['open-broker', 'timeline']),
  exiting: look('Selling', 'arrow-down', 'solid', 'info', ['timeline']),
  feed_late: look('Prices come late', 'clock', 'hatch', 'warning', ['sell-now', 'timeline']),
  price_stale: look('Guarded, price old', 'shield', 'dashed', 'neutral', ['sell-now']),
  guarded: look('Guarded', 'shield', 'solid', 'good', ['sell-now']),
  buying: look('Buying', 'arrow-up', 'solid', 'info', ['timeline']),
  queued: look('In the queue', 'queue', 'dotted', 'info', ['timeline']),
  login_over: look('Paused: broker login', 'plug-off', 'dashed', 'warning', ['broker-login']),
  broker_away: look('Paused: no answer', 'plug-off', 'dashed', 'warning', ['timeline']),
  paused: look('Paused', 'pause', 'dashed', 'warning', ['timeline']),
  waiting: look('Waiting', 'clock', 'dotted', 'info', ['edit']),
  idle: look('Not started', 'minus', 'thin', 'neutral', ['edit']),
  missed: look('Missed', 'cross', 'thin', 'neutral', ['timeline']),
  rejected: look('Rejected', 'cross', 'thin', 'neutral', ['timeline']),
  failed: look('Failed', 'cross', 'thin', 'neutral', ['timeline']),
  unfilled: look('Not filled', 'cross', 'thin', 'neutral', ['timeline']),
  closed_outside: look('Closed outside', 'minus', 'thin', 'neutral', ['timeline']),
  stopped_out: look('Stop-loss', 'arrow-down', 'thin', 'neutral', ['timeline']),
  sold: look('Sold', 'check', 'thin', 'neutral', ['timeline']),
  ended: look('Ended', 'minus', 'thin', 'neutral', ['timeline']),
} satisfies Record<string, Look>;

export type StateKey = keyof typeof LOOKS;
export const STATE_KEYS = Object.keys(LOOKS) as StateKey[];

/** How long a guarded position is shown as guarded without news of it. */
export const UNSEEN_MS = 30_000;

/** How long it may take after a BUY until the guards confirm. */
const ARMING_MS = 5_000;

/** The state to show. `linked`: whether the server is heard at this moment. */
export function viewOf(received: Received, now: number, linked: boolean): View {
  const key = keyOf(received, now, linked);
  const { sentence, offers } = said(key, received, now);
  return { key, ...LOOKS[key], offers: offers ?? LOOKS[key].offers, sentence: spoken(sentence, now) };
}

/** What the state's colour means, for callers that need nothing else of it. */
export function toneOf(received: Received, now: number, linked: boolean): Tone {
  return LOOKS[keyOf(received, now, linked)].tone;
}

function keyOf(received: Received, now: number, linked: boolean): StateKey {
  const { status } = received;
  const running = status.strategy_status === 'running' || status.strategy_status === 'paused';
  if (status.status_detail === 'needs_confirmation') return 'needs_confirmation';
  if (!running) return status.strategy_status === 'created' ? 'idle' : endOf(status);
  if (status.guard.state === 'exit_failed') return 'exit_failed';
  if (status.status_detail === 'account_short') return 'account_short';
  if (status.position === 'bought') return heldKey(received, now, linked);
  if (status.status_detail === 'order_outcome_unknown') return 'order_unknown';
  if (status.position === 'selling') return sellingKey(status);
  if (status.status_detail === 'order_budget_used_up') return 'budget_used_up';
  if (status.status_detail === 'order_queued') return 'queued';
  if (status.strategy_status === 'paused') return pausedKey(status);
  return status.position === 'buying' ? 'buying' : 'waiting';
}

function heldKey(received: Received, now: number, linked: boolean): StateKey {
  const { status } = received;
  if (status.feed === 'down' || status.status_detail === 'feed_down') return 'feed_down';
  if (status.guard.state !== 'guarded') return isArming(status, now) ? 'arming' : 'not_guarded';
  if (!linked || now - received.at > UNSEEN_MS) return 'unseen';
  if (status.feed === 'late') return 'feed_late';
  return freshness(priceAge(received, now)) === 'stale' ? 'price_stale' : 'guarded';
}

/**
 * In the first seconds after the BUY no guard has confirmed yet: that is no alarm. A phone whose clock is wrong shows
 * the alarm all the same.
 */
function isArming(status: Status, now: number): boolean {
  const age = Math.abs(now - Date.parse(status.updated_at));
  return status.guard.confirmed_at === null && status.feed !== 'down' && age < ARMING_MS;
}

function sellingKey(status: Status): StateKey {
  if (status.strategy_status === 'paused') return 'exit_failed';
  if (status.status_detail === 'no_buyers') return 'no_buyers';
  return status.status_detail === 'order_queued' ? 'queued' : 'exiting';
}

function pausedKey(status: Status): StateKey {
  if (status.status_detail === 'broker_session_expired') return 'login_over';
  if (status.status_detail === 'broker_unreachable' || status.status_detail === 'entries_halted')
    return 'broker_away';
  return 'paused';
}

const ENDS: Readonly<Record<string, StateKey>> = {
  missed_execution: 'missed',
  market_closed: 'missed',
  price_below_stop: 'missed',
  entries_forbidden: 'missed',
  symbol_not_listed: 'failed',
  order_rejected: 'rejected',
  order_failed: 'failed',
  broker_unreachable: 'failed',
  broker_session_expired: 'failed',
  entry_not_filled: 'unfilled',
  closed_outside: 'closed_outside',
};

function endOf(status: Status): StateKey {
  if (status.position === 'exited_by_sl') return 'stopped_out';
  const byDetail = ENDS[status.status_detail];
  if (byDetail) return byDetail;
  if (status.position === 'sold') return 'sold';
  return status.position === 'buy_failed' ? 'failed' : 'ended';
}

/** The server's own sentence, with what only the client knows: ages and what follows from them. */
function said(
  key: StateKey,
  received: Received,
  now: number,
): { sentence: string; offers?: readonly Offer[] } {
  const { status } = received;
  const reason = status.guard.reason ?? status.message;
  const since = status.guard.since ? ` since ${time(status.guard.since)}` : '';
  switch (key) {
    case 'exit_failed': {
      const sentence = `Not sold. It is tried again every few seconds. ${reason}`;
      if (status.status_detail === 'broker_session_expired') return { sentence };
      return { sentence, offers: ['open-broker', 'timeline'] };
    }
    case 'feed_down':
      return { sentence: `The stop-loss is not watched${since}: no prices arrive.` };
    case 'not_guarded':
      return { sentence: `The stop-loss is not watched${since}. ${reason}.` };
    case 'unseen':
      return {
        sentence: `As of ${time(received.at)}: ${status.message || 'guarded then'}. It goes on without this phone.`,
      };
    case 'order_unknown':
      return { sentence: `${status.message}. Nothing is sent twice; the broker's order book is being read.` };
    case 'feed_late':
      return {
        sentence: `Prices come late${status.feed_lag_ms ? ` by ${Math.round(status.feed_lag_ms / 1000)} s` : ''}. The stop-loss acts on each when it is heard.`,
      };
    case 'price_stale':
      return {
        sentence: `No trade of this share for a while; the price is of ${time(now - (priceAge(received, now) ?? 0))}.`,
      };
    case 'arming':
      return { sentence: 'Bought; both guards are being given the stop-loss.' };
    case 'waiting':
      return {
        sentence: WAITING.test(status.message) ? `Buys at ${moment(status.buy_at, now)}.` : status.message,
      };
    case 'guarded':
      return { sentence: `Stop-loss watched by ${guards(status)}.` };
    default:
      return { sentence: status.message };
  }
}

/** The plain sentence can be said in fewer words; one that says more is shown whole. */
const WAITING = /^Waiting to buy at [\d-]+ [\d:]+$/;

function guards(status: Status): string {
  const both = status.guard.by.length > 1;
  return both ? 'two guards' : 'one guard of two';
}

/** The order of cards: what needs a person comes first, then what is held, then by the time of the next act. */
export function urgency(tone: Tone, status: Status): number {
  const tones: Record<Tone, number> = { danger: 0, warning: 1, info: 2, good: 2, neutral: 3 };
  return tones[tone] * 10 + (holds(status) ? 0 : 5);
}

function look(word: string, sign: Sign, pattern: Pattern, tone: Tone, offers: readonly Offer[]): Look {
  return { word, sign, pattern, tone, offers };
}
