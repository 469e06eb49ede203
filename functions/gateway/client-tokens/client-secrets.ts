/**
 * Tokens for phones and browsers, which must never carry an API key: short-lived, for some models, some tokens and one origin, and worth nothing
 * without the device's own key.
 */
import * as v from 'valibot';
import { AuthenticationError, PermissionError } from '../errors.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import type { Caller } from '../keys/caller.ts';
import type { Clock, Services } from '../services.ts';
import { createDpopVerifier, type DpopVerifier } from './dpop.ts';
import { createSigningKeys, type SigningKeys } from './signing-keys.ts';

const ISSUER = 'penstock';
const REVOKED = 'revoked-client-secrets';

const claimsSchema = v.object({
  sub: v.string(),
  jti: v.string(),
  exp: v.number(),
  cnf: v.object({ jkt: v.string() }),
  models: v.nullable(v.array(v.string())),
  max_tokens: v.nullable(v.number()),
  origin: v.nullable(v.string()),
});

export interface ClientSecretRequest {
  readonly caller: Caller;
  /** Thumbprint of the device's public key, RFC 7638. */
  readonly jkt: string;
  readonly models: readonly string[] | undefined;
  /** Prompt and answer tokens together, over the token's whole life. */
  readonly maxTokens: number | undefined;
  readonly origin: string | undefined;
  readonly lifetimeSeconds: number;
}

export interface ClientSecrets {
  readonly signingKeys: SigningKeys;
  readonly dpop: DpopVerifier;
  mint(request: ClientSecretRequest): Promise<{ readonly id: string; readonly value: string; readonly expiresAt: number }>;
  /** @throws {AuthenticationError | PermissionError} */
  authenticate(request: {
    token: string;
    proof: string | undefined;
    method: string;
    url: string;
    origin: string | undefined;
  }): Promise<Caller>;
  revoke(id: string, keyId: string): Promise<void>;
}

export function createClientSecrets(
  { table, clock, ids, signer }: Pick<Services, 'table' | 'clock' | 'ids' | 'signer'>,
  keys: ApiKeys,
): ClientSecrets {
  const signingKeys = createSigningKeys(table, clock, signer);
  const dpop = createDpopVerifier(table, clock);
  return {
    signingKeys,
    dpop,

    async mint({ caller, jkt, models, maxTokens, origin, lifetimeSeconds }) {
      const { kid, sign } = await signingKeys.current();
      const now = Math.floor(clock.now() / 1000);
      const id = ids.create('cs_');
      const expiresAt = now + lifetimeSeconds;
      const claims = {
        iss: ISSUER,
        aud: ISSUER,
        sub: caller.keyId,
        jti: id,
        iat: now,
        exp: expiresAt,
        cnf: { jkt },
        models: models ?? null,
        max_tokens: maxTokens ?? null,
        origin: origin ?? null,
      };
      // A JWS in its compact form (RFC 7515, 7.1), by hand: the key may be where no library reaches it.
      const signed = [{ alg: 'ES256', kid, typ: 'at+jwt' }, claims].map((part) => base64url(Buffer.from(JSON.stringify(part)))).join('.');
      const value = `${signed}.${base64url(await sign(Buffer.from(signed)))}`;
      return { id, value, expiresAt };
    },

    async authenticate({ token, proof, method, url, origin }) {
      const claims = await verifyToken(token, signingKeys, clock);
      const jkt = await dpop.verify({ method, url, accessToken: token, proof });
      if (jkt !== claims.cnf.jkt) throw new AuthenticationError('This client secret belongs to another device.');
      if (claims.origin !== null && claims.origin !== origin) {
        throw new PermissionError('This client secret is for another origin.');
      }
      const [parent, revoked] = await Promise.all([
        keys.findById(claims.sub),
        table.read({ partition: `${REVOKED}/${claims.sub}`, sort: claims.jti }),
      ]);
      if (parent === undefined || revoked !== undefined) throw new AuthenticationError('This client secret was revoked.');
      return narrow(parent, claims);
    },

    async revoke(id, keyId) {
      // Longer than it can live.
      const expiresAt = Math.ceil(clock.now() / 1000) + 2 * 86_400;
      await table.write({ type: 'put', key: { partition: `${REVOKED}/${keyId}`, sort: id }, attributes: {}, expiresAt });
    },
  };
}

async function verifyToken(token: string, signingKeys: SigningKeys, clock: Clock): Promise<v.InferOutput<typeof claimsSchema>> {
  const { errors, jwtVerify } = await import('jose');
  try {
    const { payload } = await jwtVerify(
      token,
      async ({ kid }) => {
        const key = kid === undefined ? undefined : await signingKeys.find(kid);
        if (key === undefined) throw new errors.JWKSNoMatchingKey();
        return key;
      },
      { issuer: ISSUER, audience: ISSUER, typ: 'at+jwt', algorithms: ['ES256'], currentDate: new Date(clock.now()) },
    );
    return v.parse(claimsSchema, payload);
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw new AuthenticationError('This client secret has expired. Ask your server for a new one.');
    if (error instanceof errors.JOSEError || error instanceof v.ValiError)
      throw new AuthenticationError('This client secret is not one of ours.');
    throw error;
  }
}

/** What the device may do: never more than the key that made its token. */
function narrow(parent: Caller, claims: v.InferOutput<typeof claimsSchema>): Caller {
  const models = claims.models?.filter((model) => parent.models === undefined || parent.models.includes(model)) ?? parent.models;
  const budget = { name: `client/${claims.jti}`, limits: claims.max_tokens === null ? {} : { tokens_total: claims.max_tokens } };
  return {
    ...parent,
    scopes: parent.scopes.filter((scope) => scope === 'generate'),
    models,
    ownerId: `device/${claims.cnf.jkt}`,
    meters: [budget, ...parent.meters],
  };
}

function base64url(data: Uint8Array): string {
  return Buffer.from(data).toString('base64url');
}
