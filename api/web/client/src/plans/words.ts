/** Words for days of a schedule. */

import { date } from '../domain/time';

export const OUTCOMES: Readonly<Record<string, string>> = {
  planned: 'planned',
  paused: 'paused',
  waiting: 'waits',
  armed: 'started',
  failed: 'nothing bought',
  skipped: 'skipped',
  missed: 'missed',
};

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Weekday = (typeof WEEKDAYS)[number];
export const WEEKDAY_NAMES: Readonly<Record<Weekday, string>> = {
  mon: 'Mon',
  tue: 'Tue',
  wed: 'Wed',
  thu: 'Thu',
  fri: 'Fri',
  sat: 'Sat',
  sun: 'Sun',
};

/** `Mon 30 Nov` of `2026-11-30`, a day of the exchange. */
export function dayOf(day: string): string {
  return date(`${day}T12:00:00+05:30`);
}
