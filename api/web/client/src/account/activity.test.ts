import { describe, expect, it } from 'vitest';
import { activityWords } from './activity';

const symbolOf = (id: number) => (id === 42 ? 'INFY' : null);
const words = (action: string, subject = '') =>
  activityWords({ at: '2026-11-30T10:25:45+05:30', action, subject, address: null }, symbolOf);

describe('what was done', () => {
  it('names the share of a strategy, or its number where it is gone', () => {
    expect(words('strategy_patch', '42')).toBe('Strategy changed · INFY');
    expect(words('schedule_put', '42')).toBe('Schedule saved · INFY');
    expect(words('strategy_delete', '7')).toBe('Strategy deleted · no. 7');
  });

  it('says by whom, for what and where, and no other numbers', () => {
    expect(words('password_reset', 'operator')).toBe('New password set · by the operator');
    expect(words('login_failed', 'delete')).toBe('Wrong password · to delete the account');
    expect(words('broker_connect', 'kite')).toBe('Broker connected · Kite');
    expect([words('login_ended', '12'), words('panic', '3'), words('login')]).toEqual([
      'Login of a device ended',
      'Sell everything',
      'Logged in',
    ]);
  });

  it('says what a later server does as well as it can', () => {
    expect(words('strategy_cloned', '42')).toBe('Strategy cloned · INFY');
    expect(words('passkey.added', 'phone')).toBe('Passkey added · phone');
  });
});
