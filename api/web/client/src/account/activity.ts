/** What was done with an account, in plain words. */

import type { components } from '../api/schema';

type Entry = components['schemas']['ActivityEntry'];

const ACTIONS: Readonly<Record<string, string>> = {
  register: 'Account opened',
  login: 'Logged in',
  logout: 'Logged out',
  login_failed: 'Wrong password',
  login_throttled: 'Too many wrong passwords: refused for a while',
  login_expired: 'Login ended: too old, or not used',
  login_ended: 'Login of a device ended',
  other_logins_ended: 'Logins of all other devices ended',
  refresh_token_reused: 'Login ended: somebody may have copied it',
  password_changed: 'Password changed',
  password_reset: 'New password set',
  password_reset_code: 'Code for a new password made',
  account_deleted: 'Account deleted',
  broker_connect: 'Broker connected',
  broker_connect_failed: 'Broker not connected',
  broker_disconnect: 'Broker disconnected',
  broker_login_link: 'Link to the broker login made',
  strategy_create: 'Strategy created',
  strategy_patch: 'Strategy changed',
  strategy_delete: 'Strategy deleted',
  strategy_start: 'Strategy started',
  strategy_stop: 'Strategy stopped',
  strategy_held: 'You said: still held',
  strategy_closed: 'You said: sold',
  schedule_put: 'Schedule saved',
  schedule_delete: 'Schedule deleted',
  schedule_pause: 'Schedule paused',
  schedule_paused: 'Schedule paused by itself',
  schedule_resume: 'Schedule resumed',
  schedule_skip: 'Day of a schedule left out',
  panic: 'Sell everything',
  panic_finished: 'Sell everything: finished',
  entries_allowed: 'Entries allowed again',
  channel_added: 'Way for notices added',
  channel_removed: 'Way for notices removed',
  telegram_code: 'Code for Telegram made',
  telegram_command: 'Command by Telegram',
};

const SUBJECTS: Readonly<Record<string, string>> = {
  operator: 'by the operator',
  login: 'at the login',
  password: 'to change the password',
  delete: 'to delete the account',
  confirm: 'to confirm',
  paper: 'paper exchange',
  kite: 'Kite',
  telegram: 'Telegram',
  email: 'e-mail',
};

/** `Strategy changed · INFY`. `symbolOf`: the share of a strategy that is still known. */
export function activityWords({ action, subject }: Entry, symbolOf: (id: number) => string | null): string {
  const what = ACTIONS[action] ?? sentence(action);
  const number = /^\d+$/.test(subject);
  // Numbers of anything else say nothing to a trader.
  const about = /^(strategy|schedule)_/.test(action)
    ? (symbolOf(Number(subject)) ?? `no. ${subject}`)
    : number
      ? ''
      : (SUBJECTS[subject] ?? subject);
  return about ? `${what} · ${about}` : what;
}

/** `Strategy cloned` of `strategy_cloned`, which a later server does. */
function sentence(action: string): string {
  const text = action.replaceAll(/[._]/g, ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}
