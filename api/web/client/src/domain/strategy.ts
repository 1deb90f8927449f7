/** What the API says of a strategy, in the client's words for its types. */

import type { components } from '../api/schema';
import { plain } from './money';

type Schemas = components['schemas'];

type Later =
  | 'stop_loss_percent'
  | 'symbol'
  | 'product'
  | 'run_id'
  | 'phase'
  | 'charges'
  | 'net_pnl'
  | 'stop_now'
  | 'target'
  | 'unrealised_pnl'
  | 'next';

/** The fields that a later server adds are optional here: an app may be newer than its server. */
export type Status = Omit<Schemas['StrategyStatus'], 'stop_loss' | Later> & {
  /** Null while it waits for the fill that it is a percentage below. */
  stop_loss: number | null;
  stop_loss_percent?: number | null;
  symbol?: string | null;
  product?: string | null;
  run_id?: number | null;
  phase?: string;
  charges?: { total: number } | null;
  net_pnl?: number | null;
  stop_now?: number | null;
  target?: number | null;
  unrealised_pnl?: number | null;
  next?: { what: string; at: string | null } | null;
};
export type Definition = Omit<Schemas['StrategyAnswer'], 'stop_loss'> & {
  stop_loss: number | null;
  stop_loss_percent?: number | null;
};
export type Guard = Schemas['Guard'];
export type Preview = Omit<Schemas['StrategyPreview'], 'stop_loss'> & { stop_loss: number | null };
export type Timeline = Schemas['StrategyTimeline'];
export type BrokerStatus = Schemas['BrokerStatusAnswer'];
export type AppConfig = Schemas['AppConfig'];
export type Instrument = Schemas['InstrumentFound'];
export type Calendar = Schemas['MarketCalendar'];
export type DayOrder = Schemas['DayOrder'];
export type DayOrders = Schemas['DayOrders'];
export type Notice = Schemas['InboxEntry'];

/** `1,500.00`, or `2 % below the buy` of a stop-loss that waits for the fill. */
export function stopText(of: { stop_loss: number | null; stop_loss_percent?: number | null }): string {
  return of.stop_loss === null && of.stop_loss_percent
    ? `${of.stop_loss_percent} % below the buy`
    : plain(of.stop_loss);
}

/** Realised, or at the last price; null where it is not known how much is held. */
export function resultOf(status: Status): number | null {
  return status.pnl ?? status.unrealised_pnl ?? null;
}

/** Whether shares are held, or may be: then STOP sells. */
export function holds(status: Status): boolean {
  return status.position === 'bought' || status.position === 'selling' || status.position === 'buying';
}

/** `INFY` of `NSE:INFY`: NSE goes without saying. */
export function shortSymbol(symbol: string | null | undefined): string {
  return (symbol ?? '').replace(/^NSE:/, '');
}

export type Group = 'holding' | 'waiting' | 'paused' | 'idle' | 'done';

export function groupOf(status: Status): Group {
  if (status.strategy_status === 'created') return 'idle';
  if (status.strategy_status === 'stopped') {
    return status.guard.state === 'not_guarded' ? 'holding' : 'done';
  }
  if (holds(status)) return 'holding';
  return status.strategy_status === 'paused' ? 'paused' : 'waiting';
}

export const GROUP_NAMES: Readonly<Record<Group, string>> = {
  holding: 'Holding',
  waiting: 'Waiting to buy',
  paused: 'Paused',
  idle: 'Not started',
  done: 'Done',
};
