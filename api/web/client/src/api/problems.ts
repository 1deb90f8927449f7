/** Everything that can go wrong with a request, as one error that a screen can show. */

import { spoken } from '../domain/time';
import type { components } from './schema';

type FieldProblem = components['schemas']['FieldProblem'];

/**
 * `refused`: the server has said no, `code` and `detail` are its words. `lost`: no answer came, so it is not known
 * whether the request took. `unreachable`: the request did not leave, or there was no answer at all.
 */
export type Kind = 'refused' | 'lost' | 'unreachable';

export class ApiProblem extends Error {
  readonly kind: Kind;
  readonly status: number;
  readonly code: string;
  readonly errors: readonly FieldProblem[];
  readonly suggestions: readonly string[];
  readonly retryAfterS: number | null;

  constructor(kind: Kind, status: number, body: Record<string, unknown>, retryAfterS: number | null = null) {
    super(
      typeof body['detail'] === 'string'
        ? spoken(body['detail'])
        : 'The server answered something that is not known here.',
    );
    this.kind = kind;
    this.status = status;
    this.code = typeof body['code'] === 'string' ? body['code'] : 'unknown';
    this.errors = Array.isArray(body['errors']) ? (body['errors'] as FieldProblem[]) : [];
    this.suggestions = Array.isArray(body['suggestions']) ? (body['suggestions'] as string[]) : [];
    this.retryAfterS = retryAfterS;
  }

  /** What to show at a field of a form: `stop_loss` of `body.stop_loss`. */
  at(field: string): string | undefined {
    const found = this.errors.find((problem) => problem.field.split('.').at(-1) === field);
    return found && spoken(found.message);
  }
}

export function lost(): ApiProblem {
  return new ApiProblem('lost', 0, {
    code: 'answer_lost',
    detail: 'No answer came. It is not known whether it took; asking the server how it stands.',
  });
}

export function unreachable(): ApiProblem {
  const online = typeof navigator === 'undefined' || navigator.onLine;
  return new ApiProblem('unreachable', 0, {
    code: online ? 'server_unreachable' : 'offline',
    detail: online
      ? 'The server does not answer. Nothing was sent, or its answer was lost.'
      : 'This phone has no network. Nothing was sent.',
  });
}

export function tooOld(): ApiProblem {
  return new ApiProblem('refused', 0, {
    code: 'app_too_old',
    detail: 'This app is too old for its server. Load the new version first.',
  });
}

/** From the answer of the server, whatever its body is. */
export async function problemOf(response: Response): Promise<ApiProblem> {
  const header = Number(response.headers.get('Retry-After'));
  const retry = response.headers.has('Retry-After') && Number.isFinite(header) ? header : null;
  let body: unknown;
  try {
    body = await response.json();
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    body = {
      code: `http_${response.status}`,
      detail: `The server answered ${response.status} without a reason.`,
    };
  }
  return new ApiProblem('refused', response.status, body as Record<string, unknown>, retry);
}

/** What a screen says of any error. Programming errors are thrown on: they are no message for a trader. */
export function sentenceOf(error: unknown): string {
  if (error instanceof ApiProblem) return error.message;
  throw error;
}
