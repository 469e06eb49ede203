import { createMiddleware } from 'hono/factory';
import type { Caller } from '../keys/caller.ts';
import type { Clock, Ids } from '../services.ts';

/** What middleware leaves for the routes. */
export interface RequestVariables {
  requestId: string;
  caller: Caller;
  /** Whose stored objects the caller sees. */
  owner: string;
}

/** Names each request, in the log and on every answer, errors included; says how long the gateway took until the answer began. */
export function requestId(ids: Ids, clock: Clock) {
  return createMiddleware<{ Variables: RequestVariables }>(async function nameRequest(c, next) {
    const startedAt = clock.now();
    const id = ids.create('req_');
    c.set('requestId', id);
    await next();
    // `c.header` would copy the answer for each of them.
    const { headers } = c.res;
    headers.set('x-request-id', id);
    headers.set('openai-processing-ms', String(Math.round(clock.now() - startedAt)));
    headers.set('openai-version', '2020-10-01');
  });
}
