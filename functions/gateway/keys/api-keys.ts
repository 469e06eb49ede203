/**
 * API keys: of a key only its SHA-256 and its first characters are kept. A key belongs to a project, a project to an organisation, and each of
 * the three may have limits. Rotation gives the same key (its id, limits and counters) another secret, and the old secret some time to go.
 */
import { hash, randomBytes } from 'node:crypto';
import * as v from 'valibot';
import type { Attributes, Row, Table } from '../services/table.ts';
import type { Clock, Ids } from '../services.ts';
import { type Caller, PRIORITIES, SCOPES } from './caller.ts';
import { encodeLimits, type Limits, limitsSchema } from './limits.ts';

const KEYS = 'api-keys';
const LIMITS = 'limits';
/** A revoked key, or changed limits, are noticed by every process within this time. */
const CACHE_MS = 5_000;
/** Unknown keys are remembered too, a bounded number of them. */
const MOST_CACHED = 10_000;

const recordSchema = v.object({
  id: v.string(),
  name: v.string(),
  prefix: v.string(),
  project_id: v.string(),
  organization_id: v.string(),
  scopes: v.array(v.picklist(SCOPES)),
  models: v.nullable(v.array(v.string())),
  priority: v.picklist(PRIORITIES),
  limits: limitsSchema,
  created_at: v.number(),
  /** Unix time in seconds from which this secret is refused. */
  expires_at: v.nullable(v.number()),
});

/** One secret of a key, without the secret. Times are Unix seconds. */
export type ApiKeyRecord = v.InferOutput<typeof recordSchema>;
export type NewApiKey = Omit<ApiKeyRecord, 'id' | 'prefix' | 'created_at'>;
export type ApiKeyUpdate = Partial<Pick<ApiKeyRecord, 'name' | 'scopes' | 'models' | 'priority' | 'limits'>>;

export interface ApiKeys {
  /** Who calls with this key; `undefined` for an unknown, expired or revoked one. */
  find(secret: string): Promise<Caller | undefined>;
  /** The caller that a key's id stands for, as client secrets name it. */
  findById(keyId: string): Promise<Caller | undefined>;
  /** The only time that the secret is seen. */
  create(key: NewApiKey): Promise<{ readonly record: ApiKeyRecord; readonly secret: string }>;
  list(): Promise<readonly ApiKeyRecord[]>;
  update(keyId: string, update: ApiKeyUpdate): Promise<ApiKeyRecord | undefined>;
  /** Old secrets are good for `graceSeconds` more. */
  rotate(keyId: string, graceSeconds: number): Promise<{ readonly record: ApiKeyRecord; readonly secret: string } | undefined>;
  /** False when there was no such key. */
  revoke(keyId: string): Promise<boolean>;
  limitsOf(owner: 'project' | 'organization', id: string): Promise<Limits>;
  setLimits(owner: 'project' | 'organization', id: string, limits: Limits): Promise<void>;
}

/** @param staticKeys SHA-256 (hex) of keys that the configuration names: they may do everything and have no limits. */
export function createApiKeys(table: Table, clock: Clock, ids: Ids, staticKeys: readonly string[] = []): ApiKeys {
  const statics = new Map(staticKeys.map((hash) => [hash, staticCaller(hash)]));
  const cache = new Map<string, { readonly caller: Promise<Caller | undefined>; readonly until: number }>();

  const load = async (hash: string): Promise<Caller | undefined> => {
    const row = await table.read({ partition: KEYS, sort: hash });
    return row === undefined ? undefined : callerOf(readRecord(row));
  };
  const limitsOf = async (owner: 'project' | 'organization', id: string): Promise<Limits> => {
    const row = await table.read({ partition: LIMITS, sort: `${owner}/${id}` });
    return row === undefined ? {} : v.parse(limitsSchema, row.attributes['limits']);
  };
  const callerOf = async (record: ApiKeyRecord): Promise<Caller | undefined> => {
    if (record.expires_at !== null && record.expires_at * 1000 <= clock.now()) return undefined;
    const [project, organization] = await Promise.all([
      limitsOf('project', record.project_id),
      limitsOf('organization', record.organization_id),
    ]);
    const above = [
      { name: `project/${record.project_id}`, limits: project },
      { name: `organization/${record.organization_id}`, limits: organization },
    ].filter((scope) => Object.keys(scope.limits).length > 0);
    return {
      keyId: record.id,
      ownerId: record.id,
      projectId: record.project_id,
      organizationId: record.organization_id,
      scopes: record.scopes,
      models: record.models ?? undefined,
      priority: record.priority,
      meters: [{ name: `key/${record.id}`, limits: record.limits }, ...above],
    };
  };
  const cached = (name: string, find: () => Promise<Caller | undefined>): Promise<Caller | undefined> => {
    const known = cache.get(name);
    if (known !== undefined && known.until > clock.now()) return known.caller;
    if (cache.size >= MOST_CACHED) cache.clear();
    const caller = find();
    cache.set(name, { caller, until: clock.now() + CACHE_MS });
    caller.catch(() => cache.delete(name)); // an outage is not remembered
    return caller;
  };
  const rowsOf = async (keyId: string) => (await table.list(KEYS)).filter((row) => row.attributes['id'] === keyId);
  const newest = (rows: readonly Row[]) =>
    rows
      .map(readRecord)
      .sort((one, other) => (other.expires_at ?? Infinity) - (one.expires_at ?? Infinity) || other.created_at - one.created_at)[0];
  const put = async (record: ApiKeyRecord): Promise<{ record: ApiKeyRecord; secret: string }> => {
    const secret = `sk-pen-${randomBytes(30).toString('base64url')}`;
    const named = { ...record, prefix: secret.slice(0, 12) };
    await table.write({ type: 'put', key: { partition: KEYS, sort: hashOf(secret) }, attributes: encodeRecord(named) });
    return { record: named, secret };
  };
  const now = () => Math.floor(clock.now() / 1000);

  return {
    async find(secret) {
      const hash = hashOf(secret);
      return statics.get(hash) ?? cached(hash, () => load(hash));
    },
    async findById(keyId) {
      for (const caller of statics.values()) if (caller.keyId === keyId) return caller;
      return cached(`id/${keyId}`, async () => {
        const record = newest(await rowsOf(keyId));
        return record === undefined ? undefined : callerOf(record);
      });
    },
    async create(key) {
      return put({ ...key, id: ids.create('key_'), prefix: '', created_at: now() });
    },
    async list() {
      return (await table.list(KEYS)).map(readRecord).sort((one, other) => one.created_at - other.created_at);
    },
    async update(keyId, update) {
      const rows = await rowsOf(keyId);
      for (const { key } of rows) {
        await table.write({ type: 'update', key, set: encodeRecord(update), if: [{ row: 'present' }] });
      }
      cache.clear();
      return newest(await rowsOf(keyId));
    },
    async rotate(keyId, graceSeconds) {
      const rows = await rowsOf(keyId);
      const record = newest(rows);
      if (record === undefined) return undefined;
      const made = await put({ ...record, created_at: now() });
      for (const { key, attributes } of rows) {
        const expiresAt = Math.min(
          now() + graceSeconds,
          typeof attributes['expires_at'] === 'number' ? attributes['expires_at'] : Infinity,
        );
        await table.write({ type: 'update', key, set: { expires_at: expiresAt }, if: [{ row: 'present' }] });
      }
      cache.clear();
      return made;
    },
    async revoke(keyId) {
      const rows = await rowsOf(keyId);
      for (const { key } of rows) await table.write({ type: 'delete', key });
      cache.clear();
      return rows.length > 0;
    },
    limitsOf,
    async setLimits(owner, id, limits) {
      await table.write({ type: 'put', key: { partition: LIMITS, sort: `${owner}/${id}` }, attributes: { limits: encodeLimits(limits) } });
      cache.clear();
    },
  };
}

/** A key is random, so one round of SHA-256 is enough; looking a digest up tells nothing about the time that a comparison takes. */
function hashOf(secret: string): string {
  return hash('sha256', secret, 'hex');
}

/** What a key of the configuration is called. */
export function staticKeyId(hash: string): string {
  return `static-${hash.slice(0, 12)}`;
}

function staticCaller(hash: string): Caller {
  const keyId = staticKeyId(hash);
  return {
    keyId,
    ownerId: keyId,
    projectId: 'default',
    organizationId: 'default',
    scopes: SCOPES,
    models: undefined,
    priority: 'normal',
    meters: [{ name: `key/${keyId}`, limits: {} }],
  };
}

function readRecord(row: Row): ApiKeyRecord {
  return v.parse(recordSchema, row.attributes);
}

function encodeRecord(record: Partial<ApiKeyRecord>): Attributes {
  const { limits, ...rest } = record;
  const named = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
  return limits === undefined ? named : { ...named, limits: encodeLimits(limits) };
}
