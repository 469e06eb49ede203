/**
 * Users of an identity provider (Cognito, or any OpenID provider) as callers: their JWT is checked against the provider's published keys, and they
 * have the rights and limits of one API key of ours, each with answers and objects of their own.
 */
import type { JWTVerifyGetKey } from 'jose';
import { AuthenticationError } from '../errors.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import type { Caller } from '../keys/caller.ts';
import type { Clock } from '../services.ts';

export interface OidcSettings {
  /** As the tokens' `iss` says it. */
  readonly issuer: string;
  /** The tokens' `aud`, or `client_id` as Cognito's access tokens have it. */
  readonly audience: string;
  readonly jwksUri: string;
  /** The API key whose rights and limits the users share. */
  readonly keyId: string;
}

export interface OidcUsers {
  /** @throws {AuthenticationError} */
  authenticate(token: string): Promise<Caller>;
}

const ALGORITHMS = ['RS256', 'ES256', 'EdDSA', 'PS256'];

export function createOidcUsers(settings: OidcSettings, keys: ApiKeys, clock: Clock): OidcUsers {
  let keySet: JWTVerifyGetKey | undefined;
  return {
    async authenticate(token) {
      keySet ??= (await import('jose')).createRemoteJWKSet(new URL(settings.jwksUri));
      const subject = await verify(token, settings, keySet, clock);
      const caller = await keys.findById(settings.keyId);
      if (caller === undefined) throw new AuthenticationError('Users cannot be admitted: the API key that they share was revoked.');
      const user = await digest(`${settings.issuer}\n${subject}`);
      return {
        ...caller,
        ownerId: `user/${user}`,
        scopes: caller.scopes.filter((scope) => scope === 'generate' || scope === 'client_secrets'),
      };
    },
  };
}

async function verify(token: string, settings: OidcSettings, keySet: JWTVerifyGetKey, clock: Clock): Promise<string> {
  const { errors, jwtVerify } = await import('jose');
  try {
    const { payload } = await jwtVerify(token, keySet, {
      issuer: settings.issuer,
      algorithms: ALGORITHMS,
      requiredClaims: ['sub', 'exp'],
      currentDate: new Date(clock.now()),
    });
    const audiences = [payload.aud ?? [], payload['client_id'] ?? []].flat();
    if (!audiences.includes(settings.audience)) throw new AuthenticationError('This token is for another application.');
    return payload.sub ?? '';
  } catch (error) {
    if (error instanceof errors.JWTExpired) throw new AuthenticationError('This token has expired. Sign in again.');
    if (error instanceof errors.JOSEError) throw new AuthenticationError('This token is not one of our identity provider.');
    throw error;
  }
}

/** A user's name in our rows is not the provider's. */
async function digest(text: string): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))).toString('base64url');
}

/** What a JWT looks like; none of our own keys does. */
export function isJwt(credential: string): boolean {
  return /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(credential);
}
