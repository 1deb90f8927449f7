/** Times of India. Every time on a screen is IST, whatever the phone's zone; durations are milliseconds. */

import { plain } from './money';

export const ZONE = 'Asia/Kolkata';

const day = new Intl.DateTimeFormat('en-GB', {
  timeZone: ZONE,
  weekday: 'short',
  day: 'numeric',
  month: 'short',
});
const monthDay = new Intl.DateTimeFormat('en-GB', { timeZone: ZONE, day: 'numeric', month: 'short' });
/** A date as computers write it, with a time of day and a zone or without, and no part of a longer word. */
const DATE =
  /(?<![\w./:-])(\d{4}-[01]\d-[0-3]\d)(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?)(?:\.\d+)?(Z|[+-]\d\d:\d\d)?)?(?![\w-]|[./:]\w)/g;
/** Rupees and paise of a thousand and more as computers write them, and no part of a longer number or word. */
const AMOUNT = /(?<![\w.,])\d{4,}\.\d{2}(?!\w|\.\d)/g;
/** A space at which no line ends. */
const UNBROKEN = '\u00a0';

/** India has one zone, and no summer time: times are reckoned here, since `Intl` is slow for two hundred cards. */
const AHEAD_MINUTES = 330;

export type Instant = string | number | Date | null | undefined;

/** Milliseconds since 1970, or null for nothing and for what is no time. */
export function millis(at: Instant): number | null {
  if (at == null) return null;
  const value = at instanceof Date ? at.getTime() : typeof at === 'number' ? at : Date.parse(at);
  return Number.isNaN(value) ? null : value;
}

/** `10:25:45`. */
export function time(at: Instant): string {
  const value = millis(at);
  return value === null ? '–' : india(value).slice(11, 19);
}

/** `10:25`. */
export function shortTime(at: Instant): string {
  const value = millis(at);
  return value === null ? '–' : india(value).slice(11, 16);
}

/** `Mon 30 Nov`. */
export function date(at: Instant): string {
  const value = millis(at);
  return value === null ? '–' : day.format(value).replace(',', '');
}

/** `2026-11-30`, the day in India. */
export function dayKey(at: Instant): string {
  const value = millis(at);
  return value === null ? '' : india(value).slice(0, 10);
}

/** `10:25:45` of today, else `Mon 30 Nov 10:25:45`. */
export function moment(at: Instant, now: number): string {
  const value = millis(at);
  if (value === null) return '–';
  return dayKey(value) === dayKey(now) ? time(value) : `${date(value)} ${time(value)}`;
}

/**
 * A sentence of the server with its dates as people write them: `1 Dec, 09:20:00` for `2026-12-01 09:20:00`, and for the
 * same with a zone; `1 Dec` for `2026-12-01`; with the year if it is not that of `now`. Lines do not break within them.
 * Its amounts are grouped as all others of the app: `1,509.00` for `1509.00`.
 * Whatever else it says stays, times without a date too, and what is no date: of no month, or a part of a name.
 */
export function spoken(sentence: string, now = Date.now()): string {
  const grouped = sentence.replace(AMOUNT, (amount) => plain(Number(amount)));
  return grouped.replace(DATE, (text: string, day: string, clock = '', zone = '') => {
    const noon = `${day}T12:00+05:30`;
    if (dayKey(noon) !== day) return text; // the 31st of February, which is read as one of March
    const at = clock ? Date.parse(zone ? text.replace(' ', 'T') : `${day}T${clock}+05:30`) : Date.parse(noon);
    const year = dayKey(at).slice(0, 4);
    const words = [monthDay.format(at), ...(year === dayKey(now).slice(0, 4) ? [] : [year])];
    const shown = words.join(' ') + (clock && `, ${india(at).slice(11, 11 + clock.length)}`);
    return shown.replaceAll(' ', UNBROKEN);
  });
}

/** A span as a countdown: `04:11`, `2 h 05 min`, `3 days`. Never negative. */
export function countdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  if (seconds >= 48 * 3600) return `${Math.floor(seconds / 86400)} days`;
  if (seconds >= 3600) {
    return `${Math.floor(seconds / 3600)} h ${pad(Math.floor((seconds % 3600) / 60))} min`;
  }
  return `${pad(Math.floor(seconds / 60))}:${pad(seconds % 60)}`;
}

/** An age in words: `now`, `2 s ago`, `4 min ago`, `3 h ago`, `2 days ago`. */
export function ago(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1000);
  if (seconds < 1) return 'now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86400)} days ago`;
}

/** How much later one instant was, as the timeline says it: `+14 ms`, `+2.3 s`. */
export function later(from: Instant, to: Instant): string {
  const start = millis(from);
  const end = millis(to);
  if (start === null || end === null) return '';
  const ms = end - start;
  const sign = ms < 0 ? '−' : '+';
  const size = Math.abs(ms);
  if (size < 1000) return `${sign}${Math.round(size)} ms`;
  if (size < 60_000) return `${sign}${(size / 1000).toFixed(1)} s`;
  return `${sign}${countdown(size)}`;
}

/** `10:25` of an API time of day, `10:25` or `10:25:45`; seconds only where they are not zero. */
export function timeOfDay(text: string): string {
  return text.endsWith(':00') && text.length === 8 ? text.slice(0, 5) : text;
}

/**
 * `09:20:00` of what was typed as a time of 24 hours: `09:20:00`, `9:20`, `09.20`, `0920`, `092000`. Null for what is
 * none. A number pad has no colon, so digits alone are read.
 */
export function readTime(typed: string): string | null {
  const text = typed.trim();
  if (!/^[\d:. ]+$/.test(text)) return null;
  const digits = (/^\d\D/.test(text) ? '0' : '') + text.replaceAll(/\D/g, '');
  const [, hours, minutes, seconds = '00'] = /^([01]\d|2[0-3])([0-5]\d)([0-5]\d)?$/.exec(digits) ?? [];
  return hours ? `${hours}:${minutes}:${seconds}` : null;
}

/** A time such as `09:20:00` with its hours (part 0), minutes or seconds moved, each in its own circle. */
export function stepTime(text: string, part: number, by: number): string {
  const circle = part ? 60 : 24;
  return text
    .split(':')
    .map((value, index) => (index === part ? pad((Number(value) + by + circle) % circle) : value))
    .join(':');
}

/** Whether the phone, at this many minutes ahead of UTC, shows other times than India's. */
export function elsewhere(now: number, ahead = -new Date(now).getTimezoneOffset()): boolean {
  return ahead !== AHEAD_MINUTES;
}

/** `2026-11-30T10:25:45.123Z`, read as a time of India. */
function india(at: number): string {
  return new Date(at + AHEAD_MINUTES * 60_000).toISOString();
}

function pad(value: number): string {
  return String(value).padStart(2, '0');
}
