import { describe, expect, it } from 'vitest';
import { count, outcome, parseRupees, percentFrom, plain, rupees, signed, snap, unrealised } from './money';

describe('amounts', () => {
  it('are grouped in lakh and crore', () => {
    expect(rupees(150000.5)).toBe('₹1,50,000.50');
    expect(rupees(12345678.9)).toBe('₹1,23,45,678.90');
    expect(count(100000)).toBe('1,00,000');
  });

  it('have a sign before the rupee sign', () => {
    expect(signed(150)).toBe('+₹150.00');
    expect(signed(-18)).toBe('−₹18.00');
    expect(signed(0)).toBe('₹0.00');
    expect(signed(-0.001)).toBe('₹0.00');
    expect(rupees(-18)).toBe('−₹18.00');
  });

  it('are a dash where there is no number', () => {
    for (const nothing of [null, undefined, NaN, Infinity]) expect(plain(nothing)).toBe('–');
    expect(signed(null)).toBe('–');
    expect(count(null)).toBe('–');
  });

  it('have a word beside them', () => {
    expect([1, -1, 0, 0.004, null].map(outcome)).toEqual(['profit', 'loss', 'even', 'even', 'unknown']);
  });
});

describe('distances', () => {
  it('are percent with two decimals', () => {
    expect(percentFrom(1500, 1508.2)).toBe('−0.54 %');
    expect(percentFrom(110, 100)).toBe('+10.00 %');
    expect(percentFrom(100, 100)).toBe('0.00 %');
    expect(percentFrom(1, 0)).toBe('–');
  });
});

describe('what a person typed', () => {
  it('may have a rupee sign and commas', () => {
    expect(parseRupees(' ₹1,500.50 ')).toBe(1500.5);
    expect(parseRupees('1500')).toBe(1500);
  });

  it('is no number otherwise', () => {
    for (const text of ['', '-5', '1e3', '15..0', 'abc', '.']) expect(parseRupees(text)).toBeNull();
  });
});

describe('snap', () => {
  it('goes to the nearest step without crumbs', () => {
    expect(snap(1500.03, 0.05)).toBe(1500.05);
    expect(snap(1500.02, 0.05)).toBe(1500);
    expect(snap(0.3, 0.1)).toBe(0.3);
    expect(snap(12.34, 0)).toBe(12.34);
  });
});

describe('unrealised', () => {
  it('is to the paisa, and unknown without a price', () => {
    expect(unrealised(1508.2, 1510, 10)).toBe(-18);
    expect(unrealised(null, 1510, 10)).toBeNull();
    expect(unrealised(1508.2, null, 10)).toBeNull();
  });
});
