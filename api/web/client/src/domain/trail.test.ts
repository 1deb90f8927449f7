import { describe, expect, it } from 'vitest';
import { extend, joined, pointsOf, range, type Trail } from './trail';

it('a trail has one price a second, the newest, and none that comes too late', () => {
  const trail: Trail = [];
  extend(trail, 1000, 10);
  extend(trail, 1900, 11);
  extend(trail, 3000, 12);
  extend(trail, 2000, 99);
  expect(pointsOf(trail)).toEqual([
    { time: 1, value: 11 },
    { time: 3, value: 12 },
  ]);
  expect(range(pointsOf(trail))).toEqual({ low: 11, high: 12 });
});

it('a trail keeps the newest half hour', () => {
  const trail: Trail = [];
  for (let second = 0; second < 1900; second++) extend(trail, second * 1000, second);
  const points = pointsOf(trail);
  expect([points.length, points[0]?.time]).toEqual([1800, 100]);
});

it('an empty trail has no range', () => {
  expect(range([])).toBeNull();
});

describe('bars and what was seen', () => {
  const bar = { at: '2026-11-30T10:25:00+05:30', open: 10, high: 12, low: 9, close: 11 };
  const start = Date.parse(bar.at) / 1000;

  it('are one line, the bars before', () => {
    const points = joined([bar], [{ time: start + 61, value: 13 }]);
    expect(points.map(({ value }) => value)).toEqual([10, 9, 12, 11, 13]);
    expect(points.map(({ time }) => time - start)).toEqual([0, 15, 30, 45, 61]);
  });

  it('do not tell a minute twice', () => {
    const points = joined([bar], [{ time: start + 20, value: 13 }]);
    expect(points.map(({ value }) => value)).toEqual([10, 9, 13]);
  });

  it('are what was seen where there are no bars', () => {
    const seen = [{ time: start, value: 1 }];
    expect(joined([], seen)).toBe(seen);
  });
});
