import { createSafetyFilter, parseSafetyPolicy, type SafetyFilter } from '../../../layers/safety/index.ts';
import { type ClientSecrets, createClientSecrets } from '../client-tokens/client-secrets.ts';
import { createOidcUsers, type OidcUsers } from '../client-tokens/oidc-users.ts';
import type { GatewayConfig } from '../config.ts';
import { type ApiKeys, createApiKeys } from '../keys/api-keys.ts';
import { createMeters, type Meters } from '../keys/meters.ts';
import { RetryBudget } from '../routing/retry-budget.ts';
import { TargetHealth } from '../routing/target-health.ts';
import { TargetStatuses } from '../routing/target-statuses.ts';
import { chooseReviewers } from '../safety/choose-reviewers.ts';
import { createSafetyPolicies, type SafetyPolicies } from '../safety/policies.ts';
import { createTenantSafety } from '../safety/tenant-safety.ts';
import type { Services } from '../services.ts';
import { type Switches, UNSWITCHED } from '../switches.ts';
import { CapacityQueue } from './capacity-queue.ts';
import { createEndUsers, type EndUsers } from './end-users.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { createLiveLogs, type LiveLogs } from './live-logs.ts';
import { createReclaimer } from './reclaim-holds.ts';
import { createRunner, type Runner } from './runner.ts';

/** What all generations of this process share: the services, and what the gateway itself makes of them. */
export interface Room extends Services {
  readonly keys: ApiKeys;
  readonly clientSecrets: ClientSecrets;
  /** Undefined where no identity provider is set. */
  readonly oidcUsers: OidcUsers | undefined;
  readonly meters: Meters;
  readonly ledger: Ledger;
  readonly runner: Runner;
  readonly health: TargetHealth;
  readonly statuses: TargetStatuses;
  readonly queue: CapacityQueue;
  readonly retries: RetryBudget;
  readonly logs: LiveLogs;
  readonly endUsers: EndUsers;
  /** Judges what is sent to `/v1/moderations`, and redacts in its answers. */
  readonly moderation: SafetyFilter;
  /** What judges prompts and answers, tenant by tenant. */
  readonly policies: SafetyPolicies;
  readonly switches: Switches;
  readonly config: GatewayConfig;
}

/** Tells all and blocks nothing: what to do about it is the caller's to decide. */
const MODERATION_POLICY = parseSafetyPolicy({
  pii: { input: 'redact', output: 'redact' },
  secrets: { input: 'redact', output: 'redact' },
});

export function createRoom(services: Services, config: GatewayConfig): Room {
  const { table, clock, ids } = services;
  const ledger = createLedger(table);
  const resources = { classifier: services.classifier };
  const reviewers = chooseReviewers(services, config);
  const keys = createApiKeys(table, clock, ids, config.apiKeyHashes);
  return {
    ...services,
    keys,
    clientSecrets: createClientSecrets(services, keys),
    oidcUsers: config.oidc === undefined ? undefined : createOidcUsers(config.oidc, keys, clock),
    meters: createMeters(table, clock, createReclaimer({ ...services, runnerLeaseMs: config.runnerLeaseMs }, ledger)),
    ledger,
    runner: createRunner(table, clock, ids, config.runnerLeaseMs),
    health: new TargetHealth(),
    statuses: new TargetStatuses(services.controlPlane, clock),
    queue: new CapacityQueue(config.queue, clock),
    retries: new RetryBudget(config.retry.budget, clock),
    logs: createLiveLogs({ ...services, retentionSeconds: config.tokenLog.retentionSeconds }, config.runnerLeaseMs),
    endUsers: createEndUsers(table, clock),
    switches: services.switches ?? UNSWITCHED,
    moderation: createSafetyFilter(MODERATION_POLICY, resources),
    policies: createSafetyPolicies(services, (policy) => createTenantSafety(policy, services.classifier, reviewers)),
    config,
  };
}
