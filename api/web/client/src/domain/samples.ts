/** Statuses to look at and to test with: one for each state, as the API sends them. */

import type { Received } from './freshness';
import type { StateKey } from './states';
import type { Status } from './strategy';

const NOW = Date.parse('2026-11-30T10:25:49+05:30');

export const SAMPLE_NOW = NOW;

const base: Status = {
  strategy_id: 1,
  symbol: 'INFY',
  product: 'MIS',
  strategy_status: 'running',
  position: 'none',
  status_detail: 'waiting_for_buy_time',
  last_action: 'START',
  last_price: 1508.2,
  last_price_age_ms: 800,
  feed: 'live',
  feed_lag_ms: 60,
  feed_since: null,
  stop_loss: 1500,
  stop_loss_percent: null,
  quantity: 10,
  filled_quantity: 0,
  buy_price: null,
  sell_price: null,
  pnl: null,
  charges: null,
  net_pnl: null,
  stop_now: null,
  unrealised_pnl: null,
  run_id: 1,
  next: { what: 'buy', at: '2026-11-30T10:30:00+05:30' },
  buy_at: '2026-11-30T10:30:00+05:30',
  sell_at: '2026-11-30T15:10:00+05:30',
  last_buy_order: null,
  last_sell_order: null,
  last_sl_order: null,
  guard: { state: 'nothing', reason: null, since: null, confirmed_at: null, by: [] },
  message: 'Waiting to buy at 2026-11-30 10:30:00',
  updated_at: '2026-11-30T10:25:48+05:30',
};

const held: Partial<Status> = {
  position: 'bought',
  status_detail: '',
  last_action: 'BUY',
  filled_quantity: 10,
  buy_price: 1510,
  message: 'Bought',
  stop_now: 1500,
  unrealised_pnl: -18,
  next: { what: 'sell', at: '2026-11-30T15:10:00+05:30' },
  guard: {
    state: 'guarded',
    reason: null,
    since: '2026-11-30T10:20:00+05:30',
    confirmed_at: '2026-11-30T10:25:46+05:30',
    by: ['strategy', 'execution'],
  },
};

const unguarded: Status['guard'] = {
  state: 'not_guarded',
  reason: 'No guard has given a sign of life since 10:24:51',
  since: '2026-11-30T10:24:51+05:30',
  confirmed_at: '2026-11-30T10:24:51+05:30',
  by: [],
};

const sold: Partial<Status> = {
  ...held,
  strategy_status: 'stopped',
  last_price_age_ms: null,
  feed: null,
  guard: base.guard,
};

const selling: Partial<Status> = { ...held, position: 'selling', guard: { ...base.guard, state: 'exiting' } };

const ended = (detail: string, message: string, position: Status['position'] = 'none'): Partial<Status> => ({
  strategy_status: 'stopped',
  position,
  status_detail: detail,
  message,
  feed: null,
  last_price_age_ms: null,
});

/** What each state's status differs in. */
const CHANGES: Readonly<Record<StateKey, Partial<Status>>> = {
  exit_failed: {
    ...selling,
    strategy_status: 'paused',
    status_detail: 'broker_session_expired',
    guard: { ...base.guard, state: 'exit_failed', reason: 'The broker login has ended' },
    message: 'The broker login has ended',
  },
  needs_confirmation: {
    ...held,
    strategy_status: 'stopped',
    status_detail: 'needs_confirmation',
    guard: { ...unguarded, reason: 'It cannot be seen whether these shares were sold' },
    message: 'After a backup was restored it cannot be seen whether these shares were sold',
  },
  feed_down: { ...held, feed: 'down', last_price_age_ms: 58_000, guard: unguarded },
  not_guarded: { ...held, guard: unguarded },
  arming: {
    ...held,
    guard: {
      ...unguarded,
      reason: 'No guard has confirmed the stop-loss yet',
      since: null,
      confirmed_at: null,
    },
  },
  unseen: { ...held },
  order_unknown: {
    position: 'buying',
    status_detail: 'order_outcome_unknown',
    last_action: 'BUY',
    message: 'Sent at 10:25:45, and the broker has not answered',
  },
  account_short: { ...held, status_detail: 'account_short', message: 'The account owes 10 INFY' },
  budget_used_up: {
    position: 'buying',
    status_detail: 'order_budget_used_up',
    message: 'The orders of the day are used up at the broker',
  },
  no_buyers: {
    ...selling,
    status_detail: 'no_buyers',
    message: 'INFY is at its lower circuit; the sale waits in the queue',
  },
  exiting: { ...selling, message: 'Selling at the sell time' },
  feed_late: { ...held, feed: 'late', feed_lag_ms: 4200 },
  price_stale: { ...held, last_price_age_ms: 42_000 },
  guarded: held,
  buying: { position: 'buying', status_detail: '', last_action: 'BUY', message: 'BUY sent' },
  queued: {
    position: 'buying',
    status_detail: 'order_queued',
    message: 'Ten orders have left in this second; it waits for the next',
  },
  login_over: {
    strategy_status: 'paused',
    status_detail: 'broker_session_expired',
    message: 'Not bought yet: the broker login has ended. It gives up at 10:30:05',
  },
  broker_away: {
    strategy_status: 'paused',
    status_detail: 'broker_unreachable',
    message: 'Not bought yet: the broker does not answer. It gives up at 10:30:05',
  },
  paused: { strategy_status: 'paused', status_detail: '', message: 'Not bought yet' },
  waiting: {},
  idle: {
    strategy_status: 'created',
    status_detail: '',
    message: 'Not started yet',
    buy_at: null,
    sell_at: null,
  },
  missed: ended('missed_execution', 'The buy time passed while the broker was away'),
  rejected: ended('order_rejected', 'The broker rejected the order: insufficient funds', 'buy_failed'),
  failed: ended('order_failed', 'Order Failed – Strategy Stopped', 'buy_failed'),
  unfilled: ended('entry_not_filled', 'Nobody sold at the price; the order was cancelled', 'buy_failed'),
  closed_outside: {
    ...sold,
    status_detail: 'closed_outside',
    position: 'sold',
    message: 'The shares were sold outside',
  },
  stopped_out: {
    ...sold,
    position: 'exited_by_sl',
    sell_price: 1495,
    pnl: -150,
    message: 'STOP-LOSS Triggered',
  },
  sold: { ...sold, position: 'sold', sell_price: 1522.5, pnl: 125, message: 'Sold at 15:10:00' },
  ended: ended('stopped_by_user', 'Stopped before the buy'),
};

/** A status in that state, received at `SAMPLE_NOW`; what is not known now was received a minute before. */
export function sample(key: StateKey): Received {
  const status: Status = { ...base, ...CHANGES[key] };
  return { status, at: key === 'unseen' ? NOW - 60_000 : NOW };
}
