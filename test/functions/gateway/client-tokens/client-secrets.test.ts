import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto';
import { type CryptoKey, createLocalJWKSet, exportJWK, generateKeyPair, type JWK, jwtVerify, SignJWT } from 'jose';
import { beforeEach, describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { createKeySigner } from '../../../../functions/gateway/client-tokens/key-signer.ts';
import { StoreUnavailableError } from '../../../../functions/gateway/errors.ts';
import { createGenerationGateway, MODEL, PROMPT, type TestGateway } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const URL_OF_COMPLETIONS = 'http://localhost/v1/completions';

interface Device {
  readonly privateKey: CryptoKey;
  readonly publicJwk: JWK;
}

async function createDevice(algorithm = 'ES256'): Promise<Device> {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const { kty, crv, x, y } = await exportJWK(publicKey);
  return { privateKey, publicJwk: { kty, crv, x, ...(y === undefined ? {} : { y }) } as JWK };
}

/** A proof as RFC 9449 section 4.2 describes it; `change` spoils it. */
async function prove(
  device: Device,
  token: string,
  nonce: string,
  change: Record<string, unknown> = {},
  header: Record<string, unknown> = {},
): Promise<string> {
  return new SignJWT({
    jti: randomUUID(),
    htm: 'POST',
    htu: URL_OF_COMPLETIONS,
    iat: Math.floor(Date.now() / 1000),
    ath: createHash('sha256').update(token).digest('base64url'),
    nonce,
    ...change,
  })
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: device.publicJwk, ...header })
    .sign(device.privateKey);
}

describe('client secrets', () => {
  let gateway: TestGateway;
  let device: Device;
  let token: string;
  let nonce: string;
  let id: string;
  const now = { at: Date.now(), now: () => now.at };

  const mint = async (body: object = {}) => {
    const response = await gateway.call('POST', '/v1/client_secrets', { body: { device_key: device.publicJwk, ...body } });
    expect(response.status).toBe(200);
    nonce = response.headers.get('dpop-nonce') ?? '';
    const secret = (await response.json()) as { id: string; value: string; expires_at: number };
    ({ value: token, id } = secret);
    return secret;
  };
  const call = async (proof: string | undefined, options: { body?: object; origin?: string; token?: string } = {}) =>
    gateway.call('POST', '/v1/completions', {
      body: { model: MODEL, prompt: PROMPT, max_tokens: 4, ...options.body },
      headers: {
        authorization: `DPoP ${options.token ?? token}`,
        ...(proof === undefined ? {} : { dpop: proof }),
        ...(options.origin === undefined ? {} : { origin: options.origin }),
      },
    });
  const refusal = async (response: Response) => ({
    status: response.status,
    error: /error="(\w+)"/.exec(response.headers.get('www-authenticate') ?? '')?.[1],
  });

  beforeEach(async () => {
    now.at = Date.now();
    gateway = await createGenerationGateway(new ToyEndpoint(), { clock: now });
    device = await createDevice();
    await mint();
  });

  it('admit a device that proves its key, on P-256 and Ed25519', async () => {
    expect((await call(await prove(device, token, nonce))).status).toBe(200);
    device = await createDevice('EdDSA');
    await mint();
    const response = await call(await prove(device, token, nonce, {}, { alg: 'EdDSA' }));
    expect(response.status).toBe(200);
    expect(response.headers.get('dpop-nonce')).toBe(nonce);
  });

  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['another method', { htm: 'GET' }, {}],
    ['another URL', { htu: 'http://localhost/v1/chat/completions' }, {}],
    ['another host', { htu: 'https://evil.example/v1/completions' }, {}],
    ['another token', { ath: createHash('sha256').update('other').digest('base64url') }, {}],
    ['no token', { ath: undefined }, {}],
    ['no jti', { jti: undefined }, {}],
    ['the future', { iat: Math.floor(Date.now() / 1000) + 3_600 }, {}],
    ['the past', { iat: Math.floor(Date.now() / 1000) - 3_600 }, {}],
    ['another type', {}, { typ: 'jwt' }],
  ])('refuse a proof for %s', async (_, change, header) => {
    expect(await refusal(await call(await prove(device, token, nonce, change, header)))).toEqual({
      status: 401,
      error: 'invalid_dpop_proof',
    });
  });

  it('refuse a proof that is missing, no JWT, used before, or of a nonce that is not ours', async () => {
    expect(await refusal(await call(undefined))).toEqual({ status: 401, error: 'invalid_dpop_proof' });
    expect(await refusal(await call('a.b.c'))).toEqual({ status: 401, error: 'invalid_dpop_proof' });
    const proof = await prove(device, token, nonce);
    expect((await call(proof)).status).toBe(200);
    expect(await refusal(await call(proof))).toEqual({ status: 401, error: 'invalid_dpop_proof' });
    const refused = await call(await prove(device, token, 'stale'));
    expect(await refusal(refused)).toEqual({ status: 401, error: 'use_dpop_nonce' });
    expect(refused.headers.get('dpop-nonce')).toBe(nonce);
  });

  it('do not trust the clock of the device beyond the life of a nonce', async () => {
    const proof = await prove(device, token, nonce);
    now.at += 11 * 60_000;
    await mint({ expires_in_seconds: 3_600 });
    expect((await call(proof)).status).toBe(401);
    now.at += 5 * 60_000;
    const late = await prove(device, token, nonce, { iat: Math.floor(now.at / 1000) });
    expect((await call(late)).status).toBe(200); // the period before is good still
  });

  it('are worth nothing to another device, to a forger, and after their time', async () => {
    const thief = await createDevice();
    expect((await call(await prove(thief, token, nonce))).status).toBe(401);
    const [header, payload, signature] = token.split('.');
    const forged = Buffer.from(
      JSON.stringify({ ...JSON.parse(Buffer.from(payload ?? '', 'base64url').toString()), max_tokens: 1e9 }),
    ).toString('base64url');
    const other = [header, forged, signature].join('.');
    expect((await call(await prove(device, other, nonce), { token: other })).status).toBe(401);
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
    expect((await call(await prove(device, none, nonce), { token: none })).status).toBe(401);
    now.at += 601_000;
    const response = await call(await prove(device, token, nonce, { iat: Math.floor(now.at / 1000) }));
    expect(response.status).toBe(401);
    expect(await response.text()).toContain('expired');
  });

  it('are no API key: they mint nothing, administer nothing, and are no Bearer token', async () => {
    const bearer = await gateway.call('POST', '/v1/completions', { body: { model: MODEL, prompt: PROMPT }, key: token });
    expect(bearer.status).toBe(401);
    const proof = await prove(device, token, nonce, { htu: 'http://localhost/v1/client_secrets' });
    const minted = await gateway.call('POST', '/v1/client_secrets', {
      body: { device_key: device.publicJwk },
      headers: { authorization: `DPoP ${token}`, dpop: proof },
    });
    expect(minted.status).toBe(403);
  });

  it('are bound to their models, origin and tokens', async () => {
    await mint({ models: ['another'] });
    expect((await call(await prove(device, token, nonce))).status).toBe(404);
    await mint({ origin: 'https://app.example' });
    expect((await call(await prove(device, token, nonce), { origin: 'https://evil.example' })).status).toBe(403);
    expect((await call(await prove(device, token, nonce))).status).toBe(403);
    expect((await call(await prove(device, token, nonce), { origin: 'https://app.example' })).status).toBe(200);
    await mint({ max_tokens: 10 });
    expect((await call(await prove(device, token, nonce))).status).toBe(200);
    const refused = await call(await prove(device, token, nonce));
    expect(refused.status).toBe(429);
    expect(await refused.text()).toContain('client secret');
  });

  it('can be revoked, one by one or with the key that made them', async () => {
    await gateway.call('DELETE', `/v1/client_secrets/${id}`);
    expect((await call(await prove(device, token, nonce))).status).toBe(401);
    const parent = await gateway.createKey({}, { scopes: ['generate', 'client_secrets'] });
    const response = await gateway.call('POST', '/v1/client_secrets', { body: { device_key: device.publicJwk }, key: parent.key });
    token = ((await response.json()) as { value: string }).value;
    expect((await call(await prove(device, token, nonce))).status).toBe(200);
    await gateway.call('DELETE', `/v1/admin/api_keys/${parent.id}`);
    expect((await call(await prove(device, token, nonce))).status).toBe(401);
  });

  it('are verified by any process with the published keys, also after a rotation', async () => {
    const jwks = (await (await gateway.call('GET', '/.well-known/jwks.json')).json()) as { keys: JWK[] };
    expect(jwks.keys).toHaveLength(1);
    expect(jwks.keys[0]).not.toHaveProperty('d');
    const other = await createGenerationGateway(new ToyEndpoint(), { clock: now, table: gateway.table });
    gateway = other;
    expect((await call(await prove(device, token, nonce))).status).toBe(200);
    now.at += 31 * 86_400_000; // the old key signs no more
    await mint();
    expect((await call(await prove(device, token, nonce, { iat: Math.floor(now.at / 1000) }))).status).toBe(200);
    expect(((await (await gateway.call('GET', '/.well-known/jwks.json')).json()) as { keys: JWK[] }).keys).toHaveLength(2);
  });

  it.each([
    ['a private key', (jwk: JWK) => ({ ...jwk, d: 'AAAA' })],
    ['no point of the curve', (jwk: JWK) => ({ ...jwk, x: '' })],
    ['an RSA key', () => ({ kty: 'RSA', n: 'AQAB', e: 'AQAB' })],
  ])('are not made for %s', async (_, spoil) => {
    const response = await gateway.call('POST', '/v1/client_secrets', { body: { device_key: spoil(device.publicJwk) } });
    expect(response.status).toBe(400);
  });

  it.each([
    ['too many models', { models: Array.from({ length: 17 }, (_, index) => `model-${index}`) }],
    ['a model whose name is none', { models: ['a model'] }],
    ['a name with a quote', { models: ['"'] }],
    ['an origin that no header takes', { origin: `https://${'a'.repeat(300)}` }],
  ])('are not made for %s', async (_, fields) => {
    const response = await gateway.call('POST', '/v1/client_secrets', { body: { device_key: device.publicJwk, ...fields } });
    expect(response.status).toBe(400);
  });
});

describe('client secrets by a signer', () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const now = { at: Date.now(), now: () => now.at };

  it('are good JWTs of the published key, whose private part lies nowhere', async () => {
    const table = createMemoryTable(now);
    const signer = createKeySigner(privateKey.export({ format: 'jwk' }));
    const signing = await createGenerationGateway(new ToyEndpoint(), { clock: now, table, signer });
    const verifying = await createGenerationGateway(new ToyEndpoint(), { clock: now, table });
    const device = await createDevice();
    const published = async () => (await (await verifying.call('GET', '/.well-known/jwks.json')).json()) as { keys: JWK[] };
    for (const days of [0, 20, 20, 20]) {
      now.at += days * 86_400_000;
      const body = { device_key: device.publicJwk, models: [MODEL], origin: 'https://app.example' };
      const minted = await signing.call('POST', '/v1/client_secrets', { body });
      const { value } = (await minted.json()) as { value: string };
      // In a process, or region, without the signer.
      const keys = await published();
      expect(keys.keys).toHaveLength(1);
      const { payload } = await jwtVerify(value, createLocalJWKSet(keys), { typ: 'at+jwt', currentDate: new Date(now.at) });
      expect(payload).toMatchObject({ iss: 'penstock', models: [MODEL], origin: 'https://app.example', max_tokens: null });
      const proof = await prove(device, value, minted.headers.get('dpop-nonce') ?? '', { iat: Math.floor(now.at / 1000) });
      const answer = await verifying.call('POST', '/v1/completions', {
        body: { model: MODEL, prompt: PROMPT, max_tokens: 2 },
        headers: { authorization: `DPoP ${value}`, dpop: proof, origin: 'https://app.example' },
      });
      expect(answer.status).toBe(200);
    }
    const rows = JSON.stringify(await table.list('signing-keys'));
    expect(rows).not.toContain(privateKey.export({ format: 'jwk' }).d);
    expect(rows).not.toContain('privateJwk');
  });

  it('fit into what the signer takes, however much they say', async () => {
    let longest = 0;
    const inner = createKeySigner(privateKey.export({ format: 'jwk' }));
    const signer = {
      ...inner,
      sign: (data: Uint8Array) => {
        longest = data.length;
        return inner.sign(data);
      },
    };
    const gateway = await createGenerationGateway(new ToyEndpoint(), { signer });
    const body = {
      device_key: (await createDevice()).publicJwk,
      models: Array.from({ length: 16 }, () => 'm'.repeat(96)),
      origin: `https://${'€'.repeat(259)}`, // three bytes each
      max_tokens: Number.MAX_SAFE_INTEGER,
    };
    expect((await gateway.call('POST', '/v1/client_secrets', { body })).status).toBe(200);
    expect(longest).toBeLessThanOrEqual(4096);
  });

  it('are refused while the signer is away', async () => {
    const away = () => Promise.reject(new StoreUnavailableError('the KMS key'));
    const gateway = await createGenerationGateway(new ToyEndpoint(), { signer: { publicKey: away, sign: away } });
    const response = await gateway.call('POST', '/v1/client_secrets', { body: { device_key: (await createDevice()).publicJwk } });
    expect(response.status).toBe(503);
  });
});
