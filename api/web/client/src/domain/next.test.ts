import { describe, expect, it } from 'vitest';
import { dueOf, firstOf, nextOf } from './next';
import { sample, SAMPLE_NOW } from './samples';
import { resultOf, type Status } from './strategy';

const status = (changes: Partial<Status>) => ({ ...sample('guarded').status, ...changes });
const sell = { what: 'sell', at: '2026-11-30T15:10:00+05:30' } as const;

describe('what comes next', () => {
  it('is a time with how long until then', () => {
    expect(nextOf(status({ next: sell }), SAMPLE_NOW)).toBe(
      'Sells at 15:10:00, in 4 h 44 min, or earlier at 1,500.00',
    );
    const buy = { what: 'buy', at: '2026-12-01T09:20:00+05:30' } as const;
    expect(nextOf(status({ next: buy }), SAMPLE_NOW)).toMatch(/^Buys at Tue 1 Dec 09:20:00, in 22 h/);
  });

  it('is an answer without a time, or nothing', () => {
    const order = status({ next: { what: 'order', at: null } });
    expect([nextOf(order, SAMPLE_NOW), dueOf(order)]).toEqual(["Waits for the broker's answer", null]);
    expect(nextOf(status({ next: null }), SAMPLE_NOW)).toBeNull();
  });

  it('says no countdown of what is due', () => {
    expect(nextOf(status({ next: sell }), Date.parse(sell.at) + 1000)).not.toContain(' in ');
  });

  it('is the first of several', () => {
    const later = { status: status({ next: { what: 'buy', at: '2026-12-01T09:20:00+05:30' } }) };
    const sooner = { status: status({ next: sell }) };
    expect(firstOf([later, sooner, { status: status({ next: null }) }])).toBe(sooner);
    expect(firstOf([])).toBeNull();
  });
});

describe('a result', () => {
  it('is the realised one, else what the server says of what is held', () => {
    expect(resultOf(status({ pnl: 5, unrealised_pnl: null }))).toBe(5);
    expect(resultOf(status({ pnl: null, unrealised_pnl: -18 }))).toBe(-18);
    expect(resultOf(status({ pnl: null, unrealised_pnl: null }))).toBeNull();
  });
});
