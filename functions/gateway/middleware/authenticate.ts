import { createMiddleware } from 'hono/factory';
import type { ClientSecrets } from '../client-tokens/client-secrets.ts';
import { isJwt, type OidcUsers } from '../client-tokens/oidc-users.ts';
import { AuthenticationError, PermissionError } from '../errors.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import type { Caller, Scope } from '../keys/caller.ts';
import type { RequestVariables } from './request-id.ts';

const CREDENTIAL = /^(Bearer|DPoP) +([\x21-\x7e]+)$/i;

/**
 * Admits requests with a good API key or token of the identity provider (`Bearer`) or client secret (`DPoP`), and leaves the caller for the
 * routes.
 * @param findPublicOrigin what the caller sees before the path.
 */
export function authenticate(
  keys: ApiKeys,
  clientSecrets: ClientSecrets,
  oidcUsers: OidcUsers | undefined,
  findPublicOrigin: (request: Request) => string,
) {
  const findCaller = async (scheme: string, credential: string, request: Request): Promise<Caller> => {
    if (scheme.toLowerCase() === 'dpop') {
      return clientSecrets.authenticate({
        token: credential,
        proof: request.headers.get('dpop') ?? undefined,
        method: request.method,
        url: `${findPublicOrigin(request)}${new URL(request.url).pathname}`,
        origin: request.headers.get('origin') ?? undefined,
      });
    }
    if (oidcUsers !== undefined && isJwt(credential)) return oidcUsers.authenticate(credential);
    const caller = await keys.find(credential);
    if (caller === undefined) throw new AuthenticationError('Incorrect API key provided. Ask whoever runs this gateway for a key.');
    return caller;
  };
  return createMiddleware<{ Variables: RequestVariables }>(async function checkKey(c, next) {
    const header = c.req.header('authorization');
    if (header === undefined) {
      throw new AuthenticationError('You did not provide an API key. Send it in the header `Authorization: Bearer YOUR_KEY`.');
    }
    const [, scheme = '', credential] = CREDENTIAL.exec(header) ?? [];
    if (credential === undefined) throw new AuthenticationError('The header Authorization must be `Bearer YOUR_KEY`.');
    const caller = await findCaller(scheme, credential, c.req.raw);
    c.set('caller', caller);
    c.set('owner', caller.ownerId);
    await next();
    // The next proof needs it.
    if (scheme.toLowerCase() === 'dpop') c.res.headers.set('dpop-nonce', await clientSecrets.dpop.nonce());
  });
}

/** Admits callers whose key has this scope. */
export function requireScope(scope: Scope) {
  return createMiddleware<{ Variables: RequestVariables }>(async function checkScope(c, next) {
    if (!c.get('caller').scopes.includes(scope)) {
      throw new PermissionError(`This API key may not do this: it needs the scope \`${scope}\`.`);
    }
    await next();
  });
}
