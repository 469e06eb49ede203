/** `/v1/admin`: API keys and limits, for keys with the scope `admin`. */
import * as v from 'valibot';
import { NotFoundError } from '../errors.ts';
import type { Room } from '../generation/room.ts';
import type { ApiKeyRecord, NewApiKey } from '../keys/api-keys.ts';
import { limitsSchema } from '../keys/limits.ts';
import { createKeySchema, ownerId, rotateKeySchema, updateKeySchema } from '../openai/admin-request.ts';
import { parseBody } from '../openai/parse-body.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** `POST /v1/admin/api_keys`: the answer alone has the key itself. */
export async function createApiKey(c: RouteContext, room: Room): Promise<Response> {
  const { expires_in_seconds: lifetime, ...body } = parseBody(createKeySchema, await readJsonBody(c));
  const now = Math.floor(room.clock.now() / 1000);
  const key: NewApiKey = { ...body, scopes: [...body.scopes], expires_at: lifetime === undefined ? null : now + lifetime };
  const { record, secret } = await room.keys.create(key);
  return c.json({ ...encodeKey(record), key: secret }, 201);
}

/** `GET /v1/admin/api_keys` */
export async function listApiKeys(c: RouteContext, room: Room): Promise<Response> {
  return c.json({ object: 'list', data: (await room.keys.list()).map(encodeKey) });
}

/** `POST /v1/admin/api_keys/{id}`: changes what is named; other processes see it within seconds. */
export async function updateApiKey(c: RouteContext, room: Room): Promise<Response> {
  const record = await room.keys.update(idOf(c), withoutUndefined(parseBody(updateKeySchema, await readJsonBody(c))));
  if (record === undefined) throw notFound();
  return c.json(encodeKey(record));
}

/** `POST /v1/admin/api_keys/{id}/rotate`: a new secret; the old one is good for `grace_seconds` more. */
export async function rotateApiKey(c: RouteContext, room: Room): Promise<Response> {
  const { grace_seconds: grace } = parseBody(rotateKeySchema, await readJsonBody(c, {}));
  const rotated = await room.keys.rotate(idOf(c), grace);
  if (rotated === undefined) throw notFound();
  return c.json({ ...encodeKey(rotated.record), key: rotated.secret });
}

/** `DELETE /v1/admin/api_keys/{id}` */
export async function revokeApiKey(c: RouteContext, room: Room): Promise<Response> {
  if (!(await room.keys.revoke(idOf(c)))) throw notFound();
  return c.json({ id: idOf(c), object: 'api_key.deleted', deleted: true });
}

/** `GET` and `PUT /v1/admin/{projects|organizations}/{id}/limits` */
export async function getLimits(c: RouteContext, room: Room, owner: 'project' | 'organization'): Promise<Response> {
  return c.json({ object: 'limits', [`${owner}_id`]: idOf(c), limits: await room.keys.limitsOf(owner, idOf(c)) });
}

export async function setLimits(c: RouteContext, room: Room, owner: 'project' | 'organization'): Promise<Response> {
  const limits = parseBody(limitsSchema, await readJsonBody(c));
  if (!v.is(ownerId, idOf(c))) throw notFound();
  await room.keys.setLimits(owner, idOf(c), limits);
  return c.json({ object: 'limits', [`${owner}_id`]: idOf(c), limits });
}

function encodeKey(record: ApiKeyRecord): object {
  return { object: 'api_key', ...record };
}

function withoutUndefined<Fields extends object>(fields: Fields): { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never; // the same names and values
}

function idOf(c: RouteContext): string {
  return c.req.param('id') ?? '';
}

function notFound(): NotFoundError {
  return new NotFoundError('There is nothing of that id. `GET /v1/admin/api_keys` lists the keys.', { param: 'id' });
}
