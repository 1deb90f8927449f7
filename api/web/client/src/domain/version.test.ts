import { describe, expect, it } from 'vitest';
import { APP_VERSION, begins, isEarlier } from './version';

describe('versions', () => {
  it('are compared by their numbers, not as texts', () => {
    expect(isEarlier('0.9.0', '0.10.0')).toBe(true);
    expect(isEarlier('0.10.0', '0.9.0')).toBe(false);
    expect(isEarlier('1.2', '1.2.1')).toBe(true);
    expect(isEarlier('1.2.0', '1.2')).toBe(false);
    expect(isEarlier('1.2', '1.2.0')).toBe(false);
    expect(isEarlier('2.0.0', '1.9.9')).toBe(false);
  });

  it('count without what follows their numbers', () => {
    expect(isEarlier('1.0.0rc1', '1.0.0')).toBe(false);
    expect(isEarlier('1.0.0.dev3+local', '1.0.1')).toBe(true);
  });

  it('that cannot be read lock nobody out', () => {
    expect([isEarlier('unknown', '1.0'), isEarlier('1.0', 'unknown'), isEarlier('1.0', '')]).toEqual([
      false,
      false,
      false,
    ]);
  });

  it('of this app has numbers', () => {
    expect(APP_VERSION).toMatch(/^\d+\.\d+/);
  });
});

describe('an app that is too old', () => {
  it('neither creates nor starts', () => {
    for (const [method, path] of [
      ['POST', '/strategy/create'],
      ['POST', '/strategy/start'],
      ['PUT', '/strategy/42/schedule'],
      ['POST', '/strategy/42/schedule/resume'],
      ['POST', '/risk/unlock'],
      ['POST', '/auth/register'],
    ] as const)
      expect(begins(method, path), path).toBe(true);
  });

  it('stops, sells, guards, logs in and looks', () => {
    for (const [method, path] of [
      ['POST', '/strategy/stop'],
      ['POST', '/panic'],
      ['PATCH', '/strategy/42'],
      ['POST', '/strategy/42/held'],
      ['POST', '/strategy/42/closed'],
      ['POST', '/strategy/42/schedule/pause'],
      ['DELETE', '/strategy/42/schedule'],
      ['POST', '/auth/login'],
      ['POST', '/auth/confirm'],
      ['POST', '/broker/connect'],
      ['POST', '/broker/paper'],
      ['GET', '/strategy/42/schedule'],
      ['GET', '/strategy/start'],
    ] as const)
      expect(begins(method, path), path).toBe(false);
  });
});
