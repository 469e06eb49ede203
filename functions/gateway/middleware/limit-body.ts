import type { MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';
import { BodyTooLargeError } from '../errors.ts';

/** Refuses a body over the limit by its declared length, before any of it is read; a chunked one as soon as it passes the limit. */
export function limitBody(maxBytes: number): MiddlewareHandler {
  const limitRead = bodyLimit({
    maxSize: maxBytes,
    onError: () => {
      throw new BodyTooLargeError(maxBytes);
    },
  });
  return function checkLength(c, next) {
    const length = c.req.header('content-length');
    // Hono's own looks at the body even so, and for that Node's adapter makes a stream of it.
    if (length === undefined || c.req.header('transfer-encoding') !== undefined || !/^\d+$/.test(length)) return limitRead(c, next);
    if (Number(length) > maxBytes && c.req.method !== 'GET' && c.req.method !== 'HEAD') throw new BodyTooLargeError(maxBytes);
    return next();
  };
}
