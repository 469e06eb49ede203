/** `/v1/admin/.../safety_policy`: what is done about unsafe text, tenant by tenant, for keys with the scope `admin`. */
import { safetyPolicySchema } from '../../../layers/safety/index.ts';
import { InvalidRequestError, NotFoundError } from '../errors.ts';
import type { Room } from '../generation/room.ts';
import { parseBody } from '../openai/parse-body.ts';
import { MOST_POLICY_BYTES, type PolicyOwner } from '../safety/policies.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

export type PolicyScope = PolicyOwner['type'];

/** `GET`: the policy as it was set, with its defaults; what those above pin is not in it. */
export async function getSafetyPolicy(c: RouteContext, room: Room, scope: PolicyScope): Promise<Response> {
  const owner = readOwner(c, scope);
  const policy = await room.policies.get(owner);
  if (policy === undefined) throw notFound();
  return c.json({ object: 'safety_policy', ...encodeOwner(owner), digest: policy.digest, policy: policy.settings });
}

/** `PUT`: in force within seconds, everywhere, for what begins then. */
export async function setSafetyPolicy(c: RouteContext, room: Room, scope: PolicyScope): Promise<Response> {
  const owner = readOwner(c, scope);
  const settings = parseBody(safetyPolicySchema, await readJsonBody(c));
  if (Buffer.byteLength(JSON.stringify(settings)) > MOST_POLICY_BYTES) {
    throw new InvalidRequestError(`A policy has at most ${MOST_POLICY_BYTES} bytes as JSON. Shorten its denylists.`, {
      param: 'denylists',
    });
  }
  const { digest } = await room.policies.set(owner, settings);
  return c.json({ object: 'safety_policy', ...encodeOwner(owner), digest, policy: settings });
}

/** `DELETE`: then what stands above it holds. */
export async function deleteSafetyPolicy(c: RouteContext, room: Room, scope: PolicyScope): Promise<Response> {
  const owner = readOwner(c, scope);
  if (!(await room.policies.delete(owner))) throw notFound();
  return c.json({ object: 'safety_policy.deleted', ...encodeOwner(owner), deleted: true });
}

/** `GET /v1/admin/safety_policies/{digest}`: what judged the generations whose ledger lines name this digest. */
export async function getSafetyPolicyVersion(c: RouteContext, room: Room): Promise<Response> {
  const digest = c.req.param('digest') ?? '';
  const policy = /^[0-9a-f]{64}$/.test(digest) ? await room.policies.version(digest) : undefined;
  if (policy === undefined) throw notFound();
  return c.json({ object: 'safety_policy', digest: policy.digest, policy: policy.settings });
}

function readOwner(c: RouteContext, scope: PolicyScope): PolicyOwner {
  if (scope === 'default') return { type: 'default' };
  const id = c.req.param('id') ?? '';
  if (!/^[\w.-]{1,64}$/.test(id)) throw notFound();
  return { type: scope, id };
}

function encodeOwner(owner: PolicyOwner): Readonly<Record<string, string>> {
  return owner.type === 'default' ? {} : { [`${owner.type}_id`]: owner.id };
}

function notFound(): NotFoundError {
  return new NotFoundError('There is no safety policy of that name: what stands above it holds, or everything passes.', { param: 'id' });
}
