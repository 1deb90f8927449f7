import { describe, expect, it } from 'vitest';
import { brokerView, type Stakes } from './broker';
import { SAMPLE_NOW } from './samples';
import type { BrokerStatus } from './strategy';

const NOTHING: Stakes = { held: false, nextBuy: null, refused: false };
const connected: BrokerStatus = {
  broker_connected: true,
  broker: 'kite',
  broker_user_id: 'AB1234',
  api_key_hint: '1234',
  connected_at: '2026-11-30T08:00:00+05:30',
  token_obtained_at: '2026-11-30T08:00:00+05:30',
  token_age_s: 100,
  token_expires_at: '2026-12-01T06:00:00+05:30',
  token_expired: false,
  proxy: null,
};

describe('the broker login', () => {
  it('names the account and until when it lasts', () => {
    const view = brokerView(connected, SAMPLE_NOW, NOTHING);
    expect([view.name, view.word]).toEqual(['KITE AB1234', 'till Tue 1 Dec 06:00:00']);
  });

  it('is red when it has ended and money depends on it', () => {
    const over = { ...connected, token_expired: true };
    expect(brokerView(over, SAMPLE_NOW, { ...NOTHING, held: true }).tone).toBe('danger');
    expect(brokerView(over, SAMPLE_NOW, { ...NOTHING, nextBuy: SAMPLE_NOW + 60_000 }).tone).toBe('danger');
    expect(brokerView(over, SAMPLE_NOW, NOTHING).tone).toBe('warning');
    expect([true, false].map((held) => brokerView(over, SAMPLE_NOW, { ...NOTHING, held }).sentence)).toEqual([
      'Broker login ended: exits cannot be sent',
      'Broker login ended: nothing is bought',
    ]);
  });

  it('has ended by the clock before the server is asked again', () => {
    expect(
      brokerView({ ...connected, token_expires_at: '2026-11-30T10:25:48+05:30' }, SAMPLE_NOW, NOTHING).state,
    ).toBe('expired');
  });

  it('has ended when the broker refuses it, whatever the clock says', () => {
    const view = brokerView(connected, SAMPLE_NOW, { held: true, nextBuy: null, refused: true });
    expect([view.state, view.tone]).toEqual(['expired', 'danger']);
  });

  it('is unknown before the first answer', () => {
    expect(brokerView(null, SAMPLE_NOW, NOTHING).state).toBe('unknown');
  });
});
