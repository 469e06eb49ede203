import { createMiddleware } from 'hono/factory';
import { AuthenticationError, PermissionError } from '../errors.ts';
import type { ApiKeys } from '../keys/api-keys.ts';
import type { Scope } from '../keys/caller.ts';
import type { RequestVariables } from './request-id.ts';

const BEARER = /^Bearer +([\x21-\x7e]+)$/i;

/** Admits requests with a good API key, and leaves the caller for the routes. */
export function authenticate(keys: ApiKeys) {
  return createMiddleware<{ Variables: RequestVariables }>(async function checkKey(c, next) {
    const header = c.req.header('authorization');
    if (header === undefined) {
      throw new AuthenticationError('You did not provide an API key. Send it in the header `Authorization: Bearer YOUR_KEY`.');
    }
    const key = BEARER.exec(header)?.[1];
    if (key === undefined) throw new AuthenticationError('The header Authorization must be `Bearer YOUR_KEY`.');
    const caller = await keys.find(key);
    if (caller === undefined) throw new AuthenticationError('Incorrect API key provided. Ask whoever runs this gateway for a key.');
    c.set('caller', caller);
    // Whose stored objects it sees: the key's, whatever its secret is at the moment.
    c.set('owner', caller.keyId);
    await next();
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
