import { createHash, randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import type { GatewayConfig } from '../../../../functions/gateway/config.ts';
import { createPublicOrigin } from '../../../../functions/gateway/middleware/public-origin.ts';
import { createGenerationGateway, MODEL, PROMPT } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const SECRET = 'what-the-cdn-adds';
const originSecretHash = createHash('sha256').update(SECRET).digest('hex');
const CDN = 'd111111abcdef8.cloudfront.net';

/** A client secret is minted and used by way of a CDN; the device signs for `url`. @returns the status of its request. */
async function callByCdn(config: Partial<GatewayConfig>, url: string, headers: Record<string, string>): Promise<number> {
  const gateway = await createGenerationGateway(new ToyEndpoint(), { config });
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = await exportJWK(publicKey);
  const minted = await gateway.call('POST', '/v1/client_secrets', { body: { device_key: jwk }, headers });
  const { value: token } = (await minted.json()) as { value: string };
  const proof = await new SignJWT({
    jti: randomUUID(),
    htm: 'POST',
    htu: url,
    ath: createHash('sha256').update(token).digest('base64url'),
    nonce: minted.headers.get('dpop-nonce'),
  })
    .setIssuedAt()
    .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk })
    .sign(privateKey);
  const response = await gateway.call('POST', '/v1/completions', {
    body: { model: MODEL, prompt: PROMPT, max_tokens: 2 },
    headers: { ...headers, authorization: `DPoP ${token}`, dpop: proof },
  });
  return response.status;
}

describe('the origin that a device proves its key for', () => {
  const fromCdn = { 'x-penstock-origin': SECRET, 'x-penstock-host': CDN };

  it("is the CDN's name, which only the CDN can tell", async () => {
    expect(await callByCdn({ originSecretHash }, `https://${CDN}/v1/completions`, fromCdn)).toBe(200);
    expect(await callByCdn({ originSecretHash }, 'https://evil.example/v1/completions', fromCdn)).toBe(401);
    expect(await callByCdn({ originSecretHash }, 'http://localhost/v1/completions', fromCdn)).toBe(401);
  });

  it('is never what a caller says where callers are not behind a CDN', async () => {
    const headers = { 'x-penstock-host': 'evil.example' };
    expect(await callByCdn({}, 'https://evil.example/v1/completions', headers)).toBe(401);
    expect(await callByCdn({}, 'http://localhost/v1/completions', headers)).toBe(200);
  });

  it('is the setting, whatever else is said', async () => {
    const config = { originSecretHash, publicOrigin: 'https://api.example' };
    expect(await callByCdn(config, 'https://api.example/v1/completions', fromCdn)).toBe(200);
    expect(await callByCdn(config, `https://${CDN}/v1/completions`, fromCdn)).toBe(401);
  });

  it('is always an origin, whatever the header holds', () => {
    const find = createPublicOrigin({ publicOrigin: undefined, originSecretHash });
    fc.assert(
      fc.property(
        fc.oneof(fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) }), fc.webAuthority()),
        (host) => {
          const origin = find(new Request('http://localhost/v1/models', { headers: { 'x-penstock-host': host } }));
          expect(new URL(`${origin}/v1/models`).pathname).toBe('/v1/models');
          expect(new URL(`${origin}/v1/models`).username).toBe('');
        },
      ),
    );
  });
});
