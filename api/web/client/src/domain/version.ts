/** Which version this app is, and what one that is too old for its server leaves alone. */

/** Written in by the build: the version in `pyproject.toml`. */
declare const __APP_VERSION__: string;
export const APP_VERSION = __APP_VERSION__;

/**
 * Whether one version came before another, by their numbers: `0.9` before `0.10.0`. What follows the numbers, as in
 * `1.0rc1`, does not count, and what has none is not said to be earlier: no user is locked out by a word.
 */
export function isEarlier(version: string, other: string): boolean {
  const mine = numbers(version);
  const theirs = numbers(other);
  if (!mine.length) return false;
  for (const [place, number] of theirs.entries()) {
    const difference = (mine[place] ?? 0) - number;
    if (difference) return difference < 0;
  }
  return false;
}

const BEGINS =
  /^(POST \/(strategy\/(create|start|\d+\/schedule\/resume)|risk\/unlock|auth\/register)|PUT \/strategy\/\d+\/schedule)$/;

/** Whether a request creates or starts something, or lets something be bought again. What ends or guards does not. */
export function begins(method: string, path: string): boolean {
  return BEGINS.test(`${method} ${path}`);
}

function numbers(version: string): number[] {
  return /^\d+(\.\d+)*/.exec(version)?.[0].split('.').map(Number) ?? [];
}
