import type { Context } from 'hono';
import type { RequestVariables } from '../middleware/request-id.ts';

/** Whose stored objects this request sees. Throws a plain error on a path without authentication, which would show everyone's. */
export function ownerOf(c: Context<{ Variables: RequestVariables }>): string {
  const owner = c.get('owner');
  if (typeof owner !== 'string' || owner === '') throw new Error('this path has no authentication, so it has no owner');
  return owner;
}
