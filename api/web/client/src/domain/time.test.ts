import { describe, expect, it } from 'vitest';
import {
  ago,
  countdown,
  date,
  dayKey,
  elsewhere,
  later,
  moment,
  readTime,
  spoken,
  stepTime,
  time,
  timeOfDay,
} from './time';

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

describe('sentences of the server', () => {
  /** With ordinary spaces, which are easier to read here. */
  const plain = (text: string) => spoken(text, NOON_UTC).replaceAll('\u00a0', ' ');

  it('have dates as people write them', () => {
    expect(plain('Waiting to buy at 2026-12-01 09:20:00. Its session ends at 2026-12-01 06:00')).toBe(
      'Waiting to buy at 1 Dec, 09:20:00. Its session ends at 1 Dec, 06:00',
    );
    expect(plain('It will trade on Tuesday, 2026-12-01, not today')).toBe(
      'It will trade on Tuesday, 1 Dec, not today',
    );
    expect(plain('(2026-12-01) 2026-12-31.')).toBe('(1 Dec) 31 Dec.');
  });

  it('are of India, whatever zone they are written in', () => {
    expect(plain('BUY was due at 2026-12-01T10:25:45+05:30')).toBe('BUY was due at 1 Dec, 10:25:45');
    expect(plain('since 2026-12-01T19:00:00.123456Z;')).toBe('since 2 Dec, 00:30:00;');
    expect(plain('2026-11-30T10:25:45.5')).toBe('30 Nov, 10:25:45');
  });

  it('say the year if it is another one', () => {
    expect(plain('Restored from the backup of 2025-12-01 10:00:00')).toBe(
      'Restored from the backup of 1 Dec 2025, 10:00:00',
    );
    expect(plain('2027-01-02')).toBe('2 Jan 2027');
  });

  it('never break within a date', () => {
    const [shown] = /\d+\sDec,\s[\d:]+/.exec(spoken('at 2026-12-01 09:20:00 or so', NOON_UTC)) ?? [];
    expect(shown).toBe('1\u00a0Dec,\u00a009:20:00');
  });

  it('and its amounts are grouped as all others', () => {
    expect(plain('Bought 10 INFY at 1509.00, stop at ₹1497.80 (125000.50)')).toBe(
      'Bought 10 INFY at 1,509.00, stop at ₹1,497.80 (1,25,000.50)',
    );
    for (const text of [
      '999.50 each',
      '1,500.00',
      '1500.123',
      'v1500.10',
      '10.1500.25',
      '1500.25.1',
      '2024.01x',
    ])
      expect(plain(text)).toBe(text);
  });

  it('are left alone in everything else', () => {
    for (const text of [
      'Waiting to buy at 09:20:00',
      'STOP-LOSS Triggered at 1,500.00',
      'Buys 10 INFY26DEC1500CE of NSE:INFY',
      'order 2026-1201-77 of 12-01-2026 for 2026-12',
      'ta-2026-12-01.csv, day:2026-12-01, 2026-12-01-7 and a/2026-12-01',
      '2026-13-01 and 2026-02-31 and 2026-12-00',
      'request 3fa85f64-5717-4562-b3fc-2c963f66afa6',
      '',
    ])
      expect(spoken(text, NOON_UTC)).toBe(text);
  });
});

describe('a time of day that is typed', () => {
  it('is one of 24 hours, with colons or without', () => {
    for (const typed of ['09:20:00', '9:20', ' 09:20 ', '9.20', '09 20', '0920', '092000', '09:2000'])
      expect(readTime(typed), typed).toBe('09:20:00');
    expect([readTime('00:00'), readTime('235959'), readTime('15:10:05')]).toEqual([
      '00:00:00',
      '23:59:59',
      '15:10:05',
    ]);
  });

  it('is none where it could be read in two ways, or in none', () => {
    for (const typed of [
      '',
      '9',
      '920',
      '09:2',
      '24:00',
      '12:60',
      '12:00:60',
      '3:10 pm',
      '09200',
      '-1:00',
      '9:5:00',
    ])
      expect(readTime(typed), typed).toBeNull();
  });

  it('moves by its parts, each in its own circle', () => {
    expect([stepTime('09:20:00', 0, 1), stepTime('23:59:59', 0, 1), stepTime('00:00', 1, -1)]).toEqual([
      '10:20:00',
      '00:59:59',
      '00:59',
    ]);
    expect(stepTime('09:20:59', 2, 1)).toBe('09:20:00');
  });
});
