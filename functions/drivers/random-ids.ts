import { randomBytes } from 'node:crypto';
import type { Ids } from '../gateway/services.ts';

/** 144 random bits. */
export function createRandomIds(): Ids {
  return { create: (prefix) => `${prefix}${randomBytes(18).toString('base64url')}` };
}
