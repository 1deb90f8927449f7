import { describe, expect, it } from 'vitest';
import { ago, countdown, date, dayKey, elsewhere, later, moment, time, timeOfDay } from './time';

const NOON_UTC = Date.parse('2026-11-30T12:00:00Z');

describe('times', () => {
  it('are those of India, whatever zone they are written in', () => {
    expect(time('2026-11-30T04:55:45Z')).toBe('10:25:45');
    expect(time('2026-11-30T10:25:45+05:30')).toBe('10:25:45');
    expect(date('2026-11-29T19:00:00Z')).toBe('Mon 30 Nov');
    expect(dayKey('2026-11-29T19:00:00Z')).toBe('2026-11-30');
  });

  it('name the day only if it is another one', () => {
    expect(moment('2026-11-30T10:25:45+05:30', NOON_UTC)).toBe('10:25:45');
    expect(moment('2026-12-01T10:25:45+05:30', NOON_UTC)).toBe('Tue 1 Dec 10:25:45');
  });

  it('are a dash where there is none', () => {
    expect([time(null), time('nonsense'), moment(undefined, 0)]).toEqual(['–', '–', '–']);
  });

  it('show midnight as 00', () => {
    expect(time('2026-11-30T00:00:00+05:30')).toBe('00:00:00');
  });
});

describe('spans', () => {
  it('count down', () => {
    expect(countdown(251_000)).toBe('04:11');
    expect(countdown(400)).toBe('00:01');
    expect(countdown(-5)).toBe('00:00');
    expect(countdown(2 * 3600_000 + 5 * 60_000)).toBe('2 h 05 min');
    expect(countdown(3 * 86_400_000)).toBe('3 days');
  });

  it('are ages in words', () => {
    expect([200, 2_000, 240_000, 3 * 3600_000, 3 * 86_400_000].map(ago)).toEqual([
      'now',
      '2 s ago',
      '4 min ago',
      '3 h ago',
      '3 days ago',
    ]);
  });

  it('are exact between instants of a run', () => {
    expect(later('2026-11-21T10:25:45.000+05:30', '2026-11-21T10:25:45.014+05:30')).toBe('+14 ms');
    expect(later('2026-11-21T10:25:45.000+05:30', '2026-11-21T10:25:47.300+05:30')).toBe('+2.3 s');
    expect(later(null, '2026-11-21T10:25:47.300+05:30')).toBe('');
  });
});

describe('the phone', () => {
  it('is elsewhere if its clock shows another time', () => {
    expect(elsewhere(NOON_UTC, -300)).toBe(true);
    expect(elsewhere(NOON_UTC, 330)).toBe(false);
  });
});

it('a time of day has seconds only where they count', () => {
  expect([timeOfDay('10:25:00'), timeOfDay('10:25:45'), timeOfDay('10:25')]).toEqual([
    '10:25',
    '10:25:45',
    '10:25',
  ]);
});
