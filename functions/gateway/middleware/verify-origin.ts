import { createHash, timingSafeEqual } from 'node:crypto';
import { createMiddleware } from 'hono/factory';
import { OriginError } from '../errors.ts';

export const ORIGIN_SECRET_HEADER = 'x-penstock-origin';

/**
 * Admits only what came through our CDN, which adds a secret header: the function's own address is public, because OpenAI's SDKs cannot
 * sign requests. `secretHash` is the secret's SHA-256 (hex), compared in constant time; without one every caller is admitted.
 */
export function verifyOrigin(secretHash: string | undefined) {
  const expected = secretHash === undefined ? undefined : Buffer.from(secretHash, 'hex');
  return createMiddleware(async function checkOrigin(c, next) {
    if (expected !== undefined) {
      const digest = createHash('sha256')
        .update(c.req.header(ORIGIN_SECRET_HEADER) ?? '')
        .digest();
      if (!timingSafeEqual(expected, digest)) throw new OriginError();
    }
    await next();
  });
}
