/**
 * The keys that sign client secrets. They live in the table, so that every process in every region verifies without asking anybody. Where a signer
 * is given (a key in KMS), only its public key is there; else private keys are there too, every process signs with the same one, and a new one
 * is made every month. An old key is published until everything that it signed has expired.
 */
import type { CryptoKey, JWK } from 'jose';
import * as v from 'valibot';
import type { Row, Table } from '../services/table.ts';
import type { Clock, PublicKey, Signer } from '../services.ts';
import { createKeySigner } from './key-signer.ts';

const PARTITION = 'signing-keys';
const ALGORITHM = 'ES256';
const SIGNS_FOR_SECONDS = 30 * 86_400;
/** Longer than any client secret lives. */
const VERIFIES_FOR_SECONDS = SIGNS_FOR_SECONDS + 2 * 86_400;
const CACHE_MS = 60_000;
/** A signer's key in use is written down again so often, that it does not expire. */
const PUBLISHED_FOR_SECONDS = 86_400;

/** An elliptic-curve key has texts alone. */
const jwkSchema = v.record(v.string(), v.string());

const rowSchema = v.object({
  kid: v.string(),
  createdAt: v.number(),
  privateJwk: v.optional(jwkSchema),
  publicJwk: jwkSchema,
});

interface SigningKey {
  readonly kid: string;
  readonly createdAt: number;
  readonly privateJwk?: JWK | undefined;
  readonly publicJwk: JWK;
}

interface StoredKey extends SigningKey {
  readonly privateJwk: JWK;
}

export interface SigningKeys {
  /** What signs now, and the name of its key. */
  current(): Promise<{ readonly kid: string; readonly sign: Signer['sign'] }>;
  find(kid: string): Promise<CryptoKey | undefined>;
  /** RFC 7517, for `/.well-known/jwks.json`. */
  jwks(): Promise<{ readonly keys: readonly JWK[] }>;
}

export function createSigningKeys(table: Table, clock: Clock, signer: Signer | undefined): SigningKeys {
  let cached: { readonly keys: readonly SigningKey[]; readonly until: number } | undefined;
  const load = async (fresh = false): Promise<readonly SigningKey[]> => {
    if (!fresh && cached !== undefined && cached.until > clock.now()) return cached.keys;
    const keys = (await table.list(PARTITION)).map(readRow).sort((one, other) => other.createdAt - one.createdAt);
    cached = { keys, until: clock.now() + CACHE_MS };
    return keys;
  };
  const isYounger = <Key extends SigningKey>(key: Key | undefined, seconds: number): key is Key =>
    key !== undefined && key.createdAt + seconds > clock.now() / 1000;
  const publish = async (kid: string, publicKey: PublicKey | JWK, privateJwk?: JWK): Promise<void> => {
    const createdAt = Math.floor(clock.now() / 1000);
    const publicJwk = { ...publicKey, kid, alg: ALGORITHM, use: 'sig' };
    const attributes = {
      kid,
      createdAt,
      publicJwk: v.parse(jwkSchema, publicJwk),
      ...(privateJwk === undefined ? {} : { privateJwk: v.parse(jwkSchema, privateJwk) }),
    };
    await table.write({ type: 'put', key: { partition: PARTITION, sort: kid }, attributes, expiresAt: createdAt + VERIFIES_FOR_SECONDS });
    cached = undefined;
  };
  const useSigner = async (given: Signer) => {
    const { calculateJwkThumbprint } = await import('jose');
    const publicKey = await given.publicKey();
    const kid = await calculateJwkThumbprint({ ...publicKey });
    const published = (await load()).find((one) => one.kid === kid);
    if (!isYounger(published, PUBLISHED_FOR_SECONDS)) await publish(kid, publicKey);
    return { kid, sign: given.sign };
  };
  const useStoredKey = async () => {
    const newest = (await load()).find((one): one is StoredKey => one.privateJwk !== undefined);
    const { kid, privateJwk } = isYounger(newest, SIGNS_FOR_SECONDS) ? newest : await make();
    return { kid, sign: createKeySigner(privateJwk).sign };
  };
  const make = async (): Promise<Pick<StoredKey, 'kid' | 'privateJwk'>> => {
    const { calculateJwkThumbprint, exportJWK, generateKeyPair } = await import('jose');
    const pair = await generateKeyPair(ALGORITHM, { extractable: true });
    const [privateJwk, publicJwk] = await Promise.all([exportJWK(pair.privateKey), exportJWK(pair.publicKey)]);
    const kid = await calculateJwkThumbprint(publicJwk);
    await publish(kid, publicJwk, privateJwk);
    return { kid, privateJwk };
  };
  return {
    current: () => (signer === undefined ? useStoredKey() : useSigner(signer)),
    async find(kid) {
      // Another process may have made it a moment ago.
      const key = (await load()).find((one) => one.kid === kid) ?? (await load(true)).find((one) => one.kid === kid);
      return key === undefined ? undefined : importKey(key.publicJwk);
    },
    async jwks() {
      return { keys: (await load()).map((key) => key.publicJwk) };
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
