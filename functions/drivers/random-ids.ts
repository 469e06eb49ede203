import { randomFillSync } from 'node:crypto';
import type { Ids } from '../gateway/services.ts';

/** Of each id: 144 random bits. */
const BYTES = 18;
/** Of so many at once the random bytes are asked for: most of what they cost is the asking. */
const POOL = 128;

export function createRandomIds(): Ids {
  const pool = Buffer.alloc(BYTES * POOL);
  let at = pool.length;
  return {
    create(prefix) {
      if (at === pool.length) {
        randomFillSync(pool);
        at = 0;
      }
      at += BYTES;
      return prefix + pool.toString('base64url', at - BYTES, at);
    },
  };
}
