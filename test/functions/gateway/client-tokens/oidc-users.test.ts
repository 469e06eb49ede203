import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../functions/gateway/config.ts';
import { createGenerationGateway, MODEL, PROMPT, type TestGateway } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const ISSUER = 'https://cognito.example/pool';
let server: Server;
let privateKey: CryptoKey;
let gateway: TestGateway;

/** A user pool that publishes its keys, and a gateway that trusts it. */
beforeAll(async () => {
  const pair = await generateKeyPair('RS256');
  ({ privateKey } = pair);
  const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'one', alg: 'RS256' };
  server = createServer((_, response) => response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [jwk] })));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // a TCP server has a port
  const first = await createGenerationGateway(new ToyEndpoint());
  const { id } = await first.createKey({ concurrent_requests: 5 });
  const oidc = { issuer: ISSUER, audience: 'app', jwksUri: `http://127.0.0.1:${port}/jwks.json`, keyId: id };
  gateway = await createGenerationGateway(new ToyEndpoint(), { table: first.table, config: { oidc } });
});
afterAll(() => server.close());

const sign = (claims: Record<string, unknown> = {}, key = privateKey) =>
  new SignJWT({ sub: 'alice', iss: ISSUER, aud: 'app', exp: Math.floor(Date.now() / 1000) + 60, ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'one' })
    .sign(key);
const call = (key: string) =>
  gateway.call('POST', '/v1/completions', { key, body: { model: MODEL, prompt: PROMPT, max_tokens: 3, stream: true } });

describe('users of an identity provider', () => {
  it('call with their token, by audience or by client id, and see only what is theirs', async () => {
    const response = await call(await sign());
    expect(response.status).toBe(200);
    await response.text();
    const path = `/v1/generations/${response.headers.get('x-penstock-generation')}/events`;
    expect((await gateway.call('GET', path, { key: await sign() })).status).toBe(200);
    expect((await gateway.call('GET', path, { key: await sign({ sub: 'bob' }) })).status).toBe(404);
    expect((await call(await sign({ aud: undefined, client_id: 'app' }))).status).toBe(200);
    expect((await gateway.call('GET', '/v1/admin/api_keys', { key: await sign() })).status).toBe(403);
  });

  it.each([
    ['another audience', { aud: 'other' }],
    ['another issuer', { iss: 'https://evil.example' }],
    ['a time that has passed', { exp: Math.floor(Date.now() / 1000) - 60 }],
    ['no user', { sub: undefined }],
  ])('are refused with %s', async (_, claims) => {
    expect((await call(await sign(claims))).status).toBe(401);
  });

  it('are refused with a signature of another key', async () => {
    expect((await call(await sign({}, (await generateKeyPair('RS256')).privateKey))).status).toBe(401);
  });

  it('need their audience and key in the configuration', () => {
    expect(() => loadConfig({ PENSTOCK_API_KEY_HASHES: 'a'.repeat(64), OIDC_ISSUER: ISSUER })).toThrow(/OIDC_AUDIENCE and OIDC_KEY_ID/);
  });
});
