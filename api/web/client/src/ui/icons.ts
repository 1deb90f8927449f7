/** The signs: one path each, drawn for a grid of 24. Our own drawings. */

import type { Sign } from '../domain/states';

export type IconName =
  Sign | 'back' | 'today' | 'list' | 'bell' | 'person' | 'plus' | 'lock' | 'calendar' | 'next';

export const PATHS: Readonly<Record<IconName, string>> = {
  shield: 'M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9 12l2 2 4-4',
  'shield-off': 'M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6zM9.5 9.5l5 5M14.5 9.5l-5 5',
  alert: 'M12 3l10 18H2zM12 10v4M12 17.5v.1',
  question: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM9.5 9.5a2.5 2.5 0 1 1 3.5 2.3c-.7.3-1 .8-1 1.7M12 16.8v.1',
  clock: 'M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7v5l3 2',
  pause: 'M8 5v14M16 5v14',
  check: 'M4 12.5l5 5L20 6.5',
  cross: 'M6 6l12 12M18 6L6 18',
  'arrow-up': 'M12 20V4M5 11l7-7 7 7',
  'arrow-down': 'M12 4v16M5 13l7 7 7-7',
  queue: 'M5 6h14M5 12h10M5 18h6',
  'plug-off': 'M9 3v5M15 3v5M6 8h12v3a6 6 0 0 1-12 0zM12 17v4M4 4l16 16',
  minus: 'M5 12h14',
  'eye-off': 'M3 12s3.5-6 9-6 9 6 9 6-3.5 6-9 6-9-6-9-6zM4 4l16 16',
  back: 'M15 5l-7 7 7 7',
  next: 'M9 5l7 7-7 7',
  today: 'M4 19V9M10 19V5M16 19v-7M21 19H3',
  list: 'M8 6h12M8 12h12M8 18h12M4 6v.1M4 12v.1M4 18v.1',
  bell: 'M6 16V11a6 6 0 0 1 12 0v5l2 2H4zM10 21h4',
  person: 'M12 4a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM4 21c1-4 4-6 8-6s7 2 8 6',
  plus: 'M12 5v14M5 12h14',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  calendar: 'M4 6h16v14H4zM4 10h16M8 3v4M16 3v4',
};
