/** The typed client: one fetch for all calls, which adds the token, renews it once, and turns errors into problems. */

import createClient from 'openapi-fetch';
import { begins } from '../domain/version';
import { lost, problemOf, unreachable, type ApiProblem } from './problems';
import type { paths } from './schema';
import { COOKIE_FORM, type Tokens } from './tokens';

/** Longer than the ten seconds that STOP waits for a sale before it answers 202. */
const TIMEOUT_MS = 20_000;
/** Calls that hand tokens out. */
const LOGIN_CALLS = /^\/auth\/(login|register|password|reset)$/;

export type Api = ReturnType<typeof makeApi>;

/** `tooOld`: why nothing may be begun, if this app is too old for its server. */
export function makeApi(
  tokens: Tokens,
  reached: (reachable: boolean) => void,
  tooOld: () => ApiProblem | null,
) {
  async function send(request: Request): Promise<Response> {
    const problem = tooOld();
    if (problem && begins(request.method, new URL(request.url).pathname)) throw problem;
    const copy = request.clone();
    let response = await once(request, tokens.access);
    if (response.status === 401 && tokens.access && (await expired(response))) {
      response = await once(copy, await tokens.refresh());
    }
    return response;
  }

  async function once(request: Request, access: string | null): Promise<Response> {
    const headers = new Headers(request.headers);
    if (access) headers.set('Authorization', `Bearer ${access}`);
    if (LOGIN_CALLS.test(new URL(request.url).pathname)) {
      for (const [name, value] of Object.entries(COOKIE_FORM)) headers.set(name, value);
    }
    try {
      const signal = AbortSignal.any([request.signal, AbortSignal.timeout(TIMEOUT_MS)]);
      const response = await fetch(new Request(request, { headers, signal, credentials: 'same-origin' }));
      reached(true);
      return response;
    } catch (error) {
      if ((error as Error).name === 'AbortError') throw error;
      const timeout = (error as Error).name === 'TimeoutError';
      reached(false);
      throw timeout || request.method !== 'GET' ? lostOr(timeout) : unreachable();
    }
  }

  return createClient<paths>({ baseUrl: location.origin, fetch: send });
}

/** The body of a call that succeeded; else the problem is thrown. */
export async function call<T>(
  answer: Promise<{ data?: T; error?: unknown; response: Response }>,
): Promise<NonNullable<T>> {
  const { data, error, response } = await answer;
  if (response.ok) return (data ?? {}) as NonNullable<T>;
  throw await problemOf(new Response(JSON.stringify(error ?? {}), response));
}

/** A request that changes something and broke off may have arrived, unless the phone knows that it has no network. */
function lostOr(timeout: boolean) {
  return timeout || navigator.onLine ? lost() : unreachable();
}

async function expired(response: Response): Promise<boolean> {
  const problem = await problemOf(response.clone());
  return problem.code === 'token_expired' || problem.code === 'token_invalid';
}
