import { describe, expect, it } from 'vitest';
import { linkState, linkView } from './link';
import { sample, SAMPLE_NOW } from './samples';
import { STATE_KEYS, urgency, viewOf } from './states';
import { groupOf } from './strategy';

const view = (key: (typeof STATE_KEYS)[number]) => viewOf(sample(key), SAMPLE_NOW, true);

describe('states', () => {
  it.each(STATE_KEYS)('%s is recognised from what the API sends', (key) => {
    expect(view(key).key).toBe(key);
  });

  it.each(STATE_KEYS)('%s has a word and a sentence', (key) => {
    expect(view(key).word).not.toBe('');
    expect(view(key).sentence).not.toBe('');
  });

  it('differ without their colours: no two that run have the same word, sign and pattern', () => {
    const looks = STATE_KEYS.filter((key) => !['feed_down', 'not_guarded'].includes(key)).map((key) => {
      const { word, sign, pattern } = view(key);
      return `${word} ${sign} ${pattern}`;
    });
    expect(new Set(looks).size).toBe(looks.length);
  });

  it('put trouble first', () => {
    const order = (['sold', 'guarded', 'order_unknown', 'exit_failed'] as const).map((key) =>
      urgency(view(key).tone, sample(key).status),
    );
    expect(order).toEqual([...order].sort((a, b) => b - a));
  });
});

describe('a strategy that waits', () => {
  const { status, at } = sample('waiting');
  const says = (message: string, buy_at: string) =>
    viewOf({ status: { ...status, message, buy_at }, at }, SAMPLE_NOW, true).sentence;

  it('says the day only if it is another one', () => {
    expect(says('Waiting to buy at 2026-11-30 10:30:00', '2026-11-30T10:30:00+05:30')).toBe(
      'Buys at 10:30:00.',
    );
    expect(says('Waiting to buy at 2026-12-01 09:20:00', '2026-12-01T09:20:00+05:30')).toBe(
      'Buys at Tue 1 Dec 09:20:00.',
    );
  });

  it('says all that the server says, with dates as people write them', () => {
    expect(says('Waiting to buy at 2026-12-01 09:20:00. Log in before', '')).toBe(
      'Waiting to buy at 1\u00a0Dec,\u00a009:20:00. Log in before',
    );
  });
});

describe('what is held', () => {
  it('is never shown as guarded while the link is lost', () => {
    expect(viewOf(sample('guarded'), SAMPLE_NOW, false).key).toBe('unseen');
  });

  it('is never shown as guarded by an old status', () => {
    expect(viewOf(sample('guarded'), SAMPLE_NOW + 31_000, true).key).toBe('unseen');
  });

  it('stays not guarded while the link is lost', () => {
    expect(viewOf(sample('feed_down'), SAMPLE_NOW, false).key).toBe('feed_down');
  });

  it('has an old price that is not called live', () => {
    expect(viewOf(sample('guarded'), SAMPLE_NOW + 16_000, true).key).toBe('price_stale');
  });

  it('is among the held ones even if its run has ended without a proof of the sale', () => {
    expect(groupOf(sample('needs_confirmation').status)).toBe('holding');
    expect(groupOf(sample('sold').status)).toBe('done');
    expect(groupOf(sample('idle').status)).toBe('idle');
  });
});

describe('after the buy', () => {
  it('a guard that does not confirm within seconds is an alarm', () => {
    const late = { ...sample('arming'), at: SAMPLE_NOW + 6000 };
    expect(viewOf(late, SAMPLE_NOW + 6000, true).key).toBe('not_guarded');
  });

  it('a feed that is down is an alarm at once', () => {
    const { status, at } = sample('arming');
    expect(viewOf({ status: { ...status, feed: 'down' }, at }, SAMPLE_NOW, true).key).toBe('feed_down');
  });
});

describe('an exit that failed', () => {
  it('offers the login only if that is the reason', () => {
    expect(view('exit_failed').offers).toContain('broker-login');
    const other = sample('exit_failed');
    const received = { ...other, status: { ...other.status, status_detail: 'order_rejected' } };
    expect(viewOf(received, SAMPLE_NOW, true).offers).not.toContain('broker-login');
  });
});

describe('an unknown order', () => {
  it('is never offered to be sent again', () => {
    expect(view('order_unknown').offers).toEqual(['open-broker', 'timeline']);
  });
});

describe('the link', () => {
  const link = { online: true, open: true, heardAt: SAMPLE_NOW, reachable: true };

  it('is live only if a byte came within twenty seconds', () => {
    expect(linkState(link, SAMPLE_NOW + 20_000)).toBe('live');
    expect(linkState(link, SAMPLE_NOW + 20_001)).toBe('lost');
  });

  it('tells a phone without network from a server that does not answer', () => {
    expect(linkState({ ...link, online: false }, SAMPLE_NOW)).toBe('offline');
    expect(linkState({ ...link, open: false, reachable: false }, SAMPLE_NOW)).toBe('unreachable');
    expect(linkState({ ...link, open: false, heardAt: null }, SAMPLE_NOW)).toBe('connecting');
  });

  it('says of when the picture is', () => {
    expect(linkView({ ...link, online: false }, SAMPLE_NOW).sentence).toContain('10:25:49');
  });
});
