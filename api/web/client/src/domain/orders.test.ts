import { expect, it } from 'vitest';
import { dayBeside, lineText } from './orders';
import type { DayOrder } from './strategy';

const line = {
  log_id: 1,
  run_id: 1,
  event: 'BUY',
  leg: 'ENTRY',
  order_id: '1',
  status: 'filled',
  quantity: 10,
  price: 1510,
  reason: null,
  triggered_at: null,
  sent_at: null,
  occurred_at: '2026-11-30T10:25:45+05:30',
  recorded_at: '2026-11-30T10:25:45+05:30',
  strategy_id: 1,
  symbol: 'INFY',
} as const satisfies DayOrder;

it('a line of the order log is said in plain words', () => {
  expect(lineText(line)).toEqual({ title: 'Buy: filled', detail: '10 at 1,510.00' });
  expect(lineText({ ...line, event: 'ORDER_PENDING', status: 'pending', quantity: 0, price: null })).toEqual({
    title: 'Order pending',
    detail: '',
  });
  expect(lineText({ ...line, event: 'ORDER_UPDATE', status: null, quantity: null, price: null })).toEqual({
    title: 'Order update',
    detail: '',
  });
});

it('days go over the ends of months', () => {
  expect(dayBeside('2026-11-30', 1)).toBe('2026-12-01');
  expect(dayBeside('2026-03-01', -1)).toBe('2026-02-28');
});
