import { createHash, timingSafeEqual } from 'node:crypto';
import { createMiddleware } from 'hono/factory';
import { AuthenticationError } from '../errors.ts';

const BEARER = /^Bearer +([\x21-\x7e]+)$/i;

/** Admits requests whose API key hashes to one of these SHA-256 digests (hex). Every digest is compared, in constant time. */
export function authenticate(keyHashes: readonly string[]) {
  const digests = keyHashes.map((hash) => Buffer.from(hash, 'hex'));
  return createMiddleware(async function checkKey(c, next) {
    const header = c.req.header('authorization');
    if (header === undefined) {
      throw new AuthenticationError('You did not provide an API key. Send it in the header `Authorization: Bearer YOUR_KEY`.');
    }
    const key = BEARER.exec(header)?.[1];
    if (key === undefined) throw new AuthenticationError('The header Authorization must be `Bearer YOUR_KEY`.');
    const digest = createHash('sha256').update(key).digest();
    const known = digests.reduce((found, candidate) => timingSafeEqual(candidate, digest) || found, false);
    if (!known) throw new AuthenticationError('Incorrect API key provided. Ask whoever runs this gateway for a key.');
    await next();
  });
}
