/** What a caller says of the delivery of an answer in headers of the request. Each throws {InvalidRequestError} when its header makes no sense. */
import { createHash } from 'node:crypto';
import { InvalidRequestError } from '../errors.ts';
import type { RouteContext } from './route-context.ts';

const LEASE_HEADER = 'x-penstock-lease';
const SESSION_HEADER = 'x-penstock-session';
const STATUS_HEADER = 'x-penstock-status';
const IDEMPOTENCY_HEADER = 'idempotency-key';

/** Whether waiting is told by events instead of comments. */
export function wantsStatusEvents(c: RouteContext): boolean {
  return c.req.header(STATUS_HEADER) === 'events';
}

export function readIdempotencyKey(c: RouteContext): string | undefined {
  const key = c.req.header(IDEMPOTENCY_HEADER);
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new InvalidRequestError('The header Idempotency-Key must be 1 to 255 visible ASCII characters.');
}

/** In milliseconds. */
export function readLease(c: RouteContext): number | undefined {
  const text = c.req.header(LEASE_HEADER);
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds) && seconds >= 1 && seconds <= 600) return seconds * 1000;
  throw new InvalidRequestError(`The header ${LEASE_HEADER} must be 1 to 600 seconds.`);
}

/** As a digest: what the caller calls it goes to no endpoint, and two callers' sessions of one name are two. */
export function readSession(c: RouteContext, named: string | undefined): { readonly sessionId?: string } {
  const header = c.req.header(SESSION_HEADER);
  if (header !== undefined && !/^[\x21-\x7e]{1,256}$/.test(header))
    throw new InvalidRequestError(`The header ${SESSION_HEADER} must be 1 to 256 visible ASCII characters.`);
  const session = header ?? named;
  if (session === undefined || session === '') return {};
  return {
    sessionId: createHash('sha256')
      .update(JSON.stringify([c.get('caller').ownerId, session]))
      .digest('hex')
      .slice(0, 32),
  };
}
