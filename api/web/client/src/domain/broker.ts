/** The broker's login of the day: until when it lasts, and how urgent it is that it ends. */

import type { Tone } from './states';
import type { BrokerStatus } from './strategy';
import { millis, moment } from './time';

export interface BrokerView {
  readonly name: string;
  readonly paper: boolean;
  readonly state: 'none' | 'connected' | 'expired' | 'unknown';
  readonly tone: Tone;
  readonly word: string;
  readonly sentence: string;
}

const SOON_MS = 30 * 60_000;

/** What of a trader's strategies depends on the login. */
export interface Stakes {
  readonly held: boolean;
  /** When the next BUY is due, in milliseconds. */
  readonly nextBuy: number | null;
  /** Whether the broker has refused the login of a strategy, however long it should last: another login ends it. */
  readonly refused: boolean;
}

/** The end of the login is red when money depends on it: something is held, or a BUY is due within half an hour. */
export function brokerView(
  broker: BrokerStatus | null,
  now: number,
  { held, nextBuy, refused }: Stakes,
): BrokerView {
  if (broker === null)
    return { ...of('Broker', false), state: 'unknown', tone: 'neutral', word: 'asking', sentence: '' };
  if (!broker.broker_connected || !broker.broker) {
    const sentence = 'Connect a broker before you create a strategy. The paper exchange needs no account.';
    return { ...of('No broker', false), state: 'none', tone: 'warning', word: 'not connected', sentence };
  }
  const paper = broker.broker === 'paper';
  const name = paper ? 'PAPER' : `KITE ${broker.broker_user_id ?? ''}`.trim();
  const ends = millis(broker.token_expires_at);
  if (refused || broker.token_expired || (ends !== null && ends <= now)) {
    const urgent = held || (nextBuy !== null && nextBuy - now < SOON_MS);
    // Short: it stands above every page.
    const sentence = `Broker login ended: ${held ? 'exits cannot be sent' : 'nothing is bought'}`;
    return {
      ...of(name, paper),
      state: 'expired',
      tone: urgent ? 'danger' : 'warning',
      word: 'login ended',
      sentence,
    };
  }
  const word = ends === null ? 'logged in' : `till ${moment(ends, now)}`;
  return { ...of(name, paper), state: 'connected', tone: 'neutral', word, sentence: '' };
}

function of(name: string, paper: boolean): { name: string; paper: boolean } {
  return { name, paper };
}
