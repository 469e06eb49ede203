/** `/v1/client_secrets`: what an app's own server asks for on behalf of a device. */
import * as v from 'valibot';
import { InvalidRequestError } from '../errors.ts';
import type { Room } from '../generation/room.ts';
import { parseBody } from '../openai/parse-body.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

const text = v.string('must be a string.');
const deviceKey = v.union(
  [
    v.strictObject({ kty: v.literal('EC'), crv: v.literal('P-256'), x: text, y: text }),
    v.strictObject({ kty: v.literal('OKP'), crv: v.literal('Ed25519'), x: text }),
  ],
  'must be a public JWK of P-256 or Ed25519 with nothing but its kty, crv and coordinates.',
);

/** A secret travels in a header, and what is signed may have 4,096 bytes: sixteen such names fit, and an origin with the longest host name. */
const modelName = v.pipe(text, v.regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,96}$/, 'must be the name of a model.'));

const schema = v.strictObject({
  /** The device's public key. */
  device_key: deviceKey,
  models: v.optional(
    v.pipe(v.array(modelName), v.minLength(1, 'must name a model, or be left out.'), v.maxLength(16, 'must name at most 16 models.')),
  ),
  max_tokens: v.optional(v.pipe(v.number('must be a number.'), v.integer('must be a whole number.'), v.minValue(1))),
  origin: v.optional(v.pipe(text, v.regex(/^https?:\/\/[^/\s"\\]{1,259}$/, 'must be an origin such as https://app.example.'))),
  expires_in_seconds: v.optional(
    v.pipe(
      v.number('must be a number.'),
      v.integer('must be a whole number.'),
      v.minValue(10, 'must be at least 10.'),
      v.maxValue(86_400, 'must be at most 86400.'),
    ),
    600,
  ),
});

/** `POST /v1/client_secrets` */
export async function createClientSecret(c: RouteContext, room: Room): Promise<Response> {
  const body = parseBody(schema, await readJsonBody(c));
  const { calculateJwkThumbprint } = await import('jose');
  const jkt = await calculateJwkThumbprint(body.device_key).catch(() => {
    throw new InvalidRequestError("Invalid value for 'device_key': must be a public key.", { param: 'device_key' });
  });
  const secret = await room.clientSecrets.mint({
    caller: c.get('caller'),
    jkt,
    models: body.models,
    maxTokens: body.max_tokens,
    origin: body.origin,
    lifetimeSeconds: body.expires_in_seconds,
  });
  return c.json(
    { object: 'client_secret', id: secret.id, value: secret.value, token_type: 'DPoP', expires_at: secret.expiresAt },
    { headers: { 'dpop-nonce': await room.clientSecrets.dpop.nonce(), 'cache-control': 'no-store' } },
  );
}

/** `DELETE /v1/client_secrets/{id}`: from now on nobody is admitted with it. */
export async function revokeClientSecret(c: RouteContext, room: Room): Promise<Response> {
  const id = c.req.param('id') ?? '';
  await room.clientSecrets.revoke(id, c.get('caller').keyId);
  return c.json({ id, object: 'client_secret.deleted', deleted: true });
}
