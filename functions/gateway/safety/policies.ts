/**
 * Safety policies by tenant, as data. A project's own policy holds for it, or its organisation's, or the default, in the table or from a file;
 * what those above it pin holds too (`raiseToFloor`). Every process sees a change within seconds. A policy that has judged something is kept by
 * its digest as long as the ledger's lines that name it.
 */
import * as v from 'valibot';
import {
  nameSafetyPolicy,
  raiseToFloor,
  type SafetyPolicy,
  type SafetyPolicySettings,
  safetyPolicySchema,
} from '../../../layers/safety/index.ts';
import type { Row, Table } from '../services/table.ts';
import type { Clock, Log, PolicyFile } from '../services.ts';
import type { TenantSafety } from './tenant-safety.ts';

const POLICIES = 'safety-policies';
const VERSIONS = 'safety-policy-versions';
/** A changed policy is noticed by every process within this time. */
const CACHE_MS = 3_000;
const MOST_TENANTS = 10_000;
/** Policies that are compiled at once; each may hold long denylists. */
const MOST_COMPILED = 64;
const KEPT_SECONDS = 400 * 24 * 3600;
/** Of a policy as JSON: a row of DynamoDB holds 400 kB. */
export const MOST_POLICY_BYTES = 300_000;

export type PolicyOwner = { readonly type: 'default' } | { readonly type: 'project' | 'organization'; readonly id: string };

export interface SafetyPolicies {
  /** What judges this caller now; undefined where nothing is set, so that everything passes. */
  find(caller: { readonly organizationId: string; readonly projectId: string }): Promise<TenantSafety | undefined>;
  get(owner: PolicyOwner): Promise<SafetyPolicy | undefined>;
  set(owner: PolicyOwner, settings: SafetyPolicySettings): Promise<SafetyPolicy>;
  /** False when there was none. */
  delete(owner: PolicyOwner): Promise<boolean>;
  /** A policy that was in force, with everything that was pinned above it, by its digest. */
  version(digest: string): Promise<SafetyPolicy | undefined>;
}

/** @param compile makes a policy ready to judge. */
export function createSafetyPolicies(
  {
    table,
    clock,
    log,
    policyFile,
  }: { readonly table: Table; readonly clock: Clock; readonly log: Log; readonly policyFile?: PolicyFile | undefined },
  compile: (policy: SafetyPolicy) => TenantSafety,
): SafetyPolicies {
  const tenants = new Map<string, { readonly safety: Promise<TenantSafety | undefined>; readonly until: number }>();
  const compiled = new Map<string, TenantSafety>();
  /** Digests whose policies this process has written down. */
  const kept = new Set<string>();

  const get = async (owner: PolicyOwner): Promise<SafetyPolicy | undefined> => {
    const row = await table.read(keyOf(owner));
    return row === undefined ? undefined : readPolicy(row);
  };
  const prepare = (policy: SafetyPolicy): TenantSafety => {
    const { digest } = policy;
    const safety = compiled.get(digest) ?? compile(policy);
    // The one that was used last is the last to go.
    compiled.delete(digest);
    compiled.set(digest, safety);
    for (const oldest of compiled.keys()) {
      if (compiled.size <= MOST_COMPILED) break;
      compiled.delete(oldest);
    }
    if (!kept.has(digest)) void keepVersion(policy);
    return safety;
  };
  const keepVersion = async (policy: SafetyPolicy): Promise<void> => {
    const { digest } = policy;
    if (kept.size >= MOST_TENANTS) kept.clear();
    kept.add(digest);
    const expiresAt = Math.ceil(clock.now() / 1000) + KEPT_SECONDS;
    try {
      await table.write({ type: 'put', key: { partition: VERSIONS, sort: digest }, attributes: encodePolicy(policy), expiresAt });
    } catch (error) {
      kept.delete(digest);
      log.write('error', 'policy-version-failed', { policyDigest: digest, error: error instanceof Error ? error.name : 'unknown' });
    }
  };
  const load = async (organizationId: string, projectId: string): Promise<TenantSafety | undefined> => {
    const policies = await Promise.all([
      get({ type: 'project', id: projectId }),
      get({ type: 'organization', id: organizationId }),
      get({ type: 'default' }),
      policyFile?.read(),
    ]);
    const [own, ...above] = policies.filter((policy) => policy !== undefined);
    return own === undefined ? undefined : prepare(above.reduce(raiseToFloor, own));
  };

  return {
    get,
    find({ organizationId, projectId }) {
      const name = `${organizationId}/${projectId}`;
      const known = tenants.get(name);
      if (known !== undefined && known.until > clock.now()) return known.safety;
      if (tenants.size >= MOST_TENANTS) tenants.clear();
      const safety = load(organizationId, projectId);
      tenants.set(name, { safety, until: clock.now() + CACHE_MS });
      safety.catch(() => tenants.delete(name)); // an outage is not remembered
      return safety;
    },
    async set(owner, settings) {
      const policy = nameSafetyPolicy(settings);
      await table.write({ type: 'put', key: keyOf(owner), attributes: encodePolicy(policy) });
      tenants.clear();
      return policy;
    },
    async delete(owner) {
      const { written } = await table.write({ type: 'delete', key: keyOf(owner), if: [{ row: 'present' }] });
      tenants.clear();
      return written;
    },
    async version(digest) {
      const row = await table.read({ partition: VERSIONS, sort: digest });
      return row === undefined ? undefined : readPolicy(row);
    },
  };
}

function keyOf(owner: PolicyOwner) {
  return { partition: POLICIES, sort: owner.type === 'default' ? 'default' : `${owner.type}/${owner.id}` };
}

/** As text: its numbers and its order stay as they are, whatever keeps the row. */
function encodePolicy({ settings, digest }: SafetyPolicy) {
  return { policy: JSON.stringify(settings), digest };
}

function readPolicy({ attributes }: Row): SafetyPolicy {
  return nameSafetyPolicy(v.parse(safetyPolicySchema, JSON.parse(String(attributes['policy']))));
}
