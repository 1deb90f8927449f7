import { expect, it } from 'vitest';
import { extend, range, type Point } from './trail';

it('a trail has one price a second, the newest, and none that comes too late', () => {
  const trail: Point[] = [];
  extend(trail, 1000, 10);
  extend(trail, 1900, 11);
  extend(trail, 3000, 12);
  extend(trail, 2000, 99);
  expect(trail).toEqual([
    { time: 1, value: 11 },
    { time: 3, value: 12 },
  ]);
  expect(range(trail)).toEqual({ low: 11, high: 12 });
});

it('a trail keeps the newest two hours', () => {
  const trail: Point[] = [];
  for (let second = 0; second < 7300; second++) extend(trail, second * 1000, second);
  expect([trail.length, trail[0]?.time]).toEqual([7200, 100]);
});

it('an empty trail has no range', () => {
  expect(range([])).toBeNull();
});
