/**
 * The keys that sign client secrets. They live in the table, so that every process signs with the same one and verifies without asking anybody. A
 * new one is made every month; an old one is published until everything that it signed has expired.
 */
import type { CryptoKey, JWK } from 'jose';
import * as v from 'valibot';
import type { Row, Table } from '../services/table.ts';
import type { Clock } from '../services.ts';

const PARTITION = 'signing-keys';
const ALGORITHM = 'ES256';
const SIGNS_FOR_SECONDS = 30 * 86_400;
/** Longer than any client secret lives. */
const VERIFIES_FOR_SECONDS = SIGNS_FOR_SECONDS + 2 * 86_400;
const CACHE_MS = 60_000;

/** An elliptic-curve key has texts alone. */
const jwkSchema = v.record(v.string(), v.string());

const rowSchema = v.object({
  kid: v.string(),
  createdAt: v.number(),
  privateJwk: jwkSchema,
  publicJwk: jwkSchema,
});

interface SigningKey {
  readonly kid: string;
  readonly createdAt: number;
  readonly privateJwk: JWK;
  readonly publicJwk: JWK;
}

export interface SigningKeys {
  /** The key that signs now. */
  current(): Promise<{ readonly kid: string; readonly key: CryptoKey }>;
  find(kid: string): Promise<CryptoKey | undefined>;
  /** RFC 7517, for `/.well-known/jwks.json`. */
  jwks(): Promise<{ readonly keys: readonly JWK[] }>;
  /** Makes a new key sign from now on. */
  rotate(): Promise<void>;
}

export function createSigningKeys(table: Table, clock: Clock): SigningKeys {
  let cached: { readonly keys: readonly SigningKey[]; readonly until: number } | undefined;
  const load = async (fresh = false): Promise<readonly SigningKey[]> => {
    if (!fresh && cached !== undefined && cached.until > clock.now()) return cached.keys;
    const keys = (await table.list(PARTITION)).map(readRow).sort((one, other) => other.createdAt - one.createdAt);
    cached = { keys, until: clock.now() + CACHE_MS };
    return keys;
  };
  const make = async (): Promise<SigningKey> => {
    const { calculateJwkThumbprint, exportJWK, generateKeyPair } = await import('jose');
    const pair = await generateKeyPair(ALGORITHM, { extractable: true });
    const [privateJwk, exported] = await Promise.all([exportJWK(pair.privateKey), exportJWK(pair.publicKey)]);
    const kid = await calculateJwkThumbprint(exported);
    const publicJwk = { ...exported, kid, alg: ALGORITHM, use: 'sig' };
    const createdAt = Math.floor(clock.now() / 1000);
    const attributes = { kid, createdAt, privateJwk: v.parse(jwkSchema, privateJwk), publicJwk: v.parse(jwkSchema, publicJwk) };
    await table.write({ type: 'put', key: { partition: PARTITION, sort: kid }, attributes, expiresAt: createdAt + VERIFIES_FOR_SECONDS });
    cached = undefined;
    return { kid, createdAt, privateJwk, publicJwk };
  };
  return {
    async current() {
      const [newest] = await load();
      const isGood = newest !== undefined && newest.createdAt + SIGNS_FOR_SECONDS > clock.now() / 1000;
      const key = isGood ? newest : await make();
      return { kid: key.kid, key: await importKey(key.privateJwk) };
    },
    async find(kid) {
      // Another process may have made it a moment ago.
      const key = (await load()).find((one) => one.kid === kid) ?? (await load(true)).find((one) => one.kid === kid);
      return key === undefined ? undefined : importKey(key.publicJwk);
    },
    async jwks() {
      return { keys: (await load()).map((key) => key.publicJwk) };
    },
    async rotate() {
      await make();
    },
  };
}

function readRow(row: Row): SigningKey {
  return v.parse(rowSchema, row.attributes);
}

async function importKey(jwk: JWK): Promise<CryptoKey> {
  const { importJWK } = await import('jose');
  const key = await importJWK(jwk, ALGORITHM);
  if (key instanceof Uint8Array) throw new Error('an elliptic-curve key is no byte string');
  return key;
}
