/** Lines of the order log in a trader's words. */

import { count, plain } from './money';
import type { DayOrder } from './strategy';

const EVENTS: Readonly<Record<string, string>> = {
  BUY: 'Buy',
  SELL: 'Sell',
  STOPLOSS: 'Stop-loss',
  TIMED_TRIGGER: 'Time reached',
  STOP_TRIGGER: 'Stopped by you',
  MISSED_EXECUTION: 'Missed',
};

/** `Buy: accepted`, and what of it: `10 at 1,510.00`. */
export function lineText({ event, status, quantity, price }: DayOrder): { title: string; detail: string } {
  const name = EVENTS[event] ?? words(event);
  const state = words(status ?? '').toLowerCase();
  const title = state && !name.toLowerCase().endsWith(state) ? `${name}: ${state}` : name;
  const at = price === null ? '' : ` at ${plain(price)}`;
  return { title, detail: quantity ? `${count(quantity)}${at}` : at.trim() };
}

/** `2026-11-27` of the day before or after. */
export function dayBeside(day: string, days: number): string {
  const noon = new Date(`${day}T12:00:00Z`);
  noon.setUTCDate(noon.getUTCDate() + days);
  return noon.toISOString().slice(0, 10);
}

/** `ORDER_UPDATE` in plain words. */
function words(word: string): string {
  const text = word.replaceAll('_', ' ').toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}
