import { createSafetyFilter, type SafetyFilter } from '../../../layers/safety/index.ts';
import { type ClientSecrets, createClientSecrets } from '../client-tokens/client-secrets.ts';
import type { GatewayConfig } from '../config.ts';
import { type ApiKeys, createApiKeys } from '../keys/api-keys.ts';
import { createMeters, type Meters } from '../keys/meters.ts';
import { TargetHealth } from '../routing/target-health.ts';
import type { Services } from '../services.ts';
import { CapacityQueue } from './capacity-queue.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { createLiveLogs, type LiveLogs } from './live-logs.ts';
import { createReclaimer } from './reclaim-holds.ts';
import { createRunner, type Runner } from './runner.ts';

/** What all generations of this process share: the services, and what the gateway itself makes of them. */
export interface Room extends Services {
  readonly keys: ApiKeys;
  readonly clientSecrets: ClientSecrets;
  readonly meters: Meters;
  readonly ledger: Ledger;
  readonly runner: Runner;
  readonly health: TargetHealth;
  readonly queue: CapacityQueue;
  readonly logs: LiveLogs;
  /** Judges prompts and answers; `undefined` when no policy is set. */
  readonly safety: SafetyFilter | undefined;
  readonly config: GatewayConfig;
}

export function createRoom(services: Services, config: GatewayConfig): Room {
  const { table, clock, ids } = services;
  const ledger = createLedger(table);
  const keys = createApiKeys(table, clock, ids, config.apiKeyHashes);
  return {
    ...services,
    keys,
    clientSecrets: createClientSecrets(table, clock, ids, keys),
    meters: createMeters(table, clock, createReclaimer({ ...services, runnerLeaseMs: config.runnerLeaseMs }, ledger)),
    ledger,
    runner: createRunner(table, clock, ids, config.runnerLeaseMs),
    health: new TargetHealth(),
    queue: new CapacityQueue(config.queue, clock),
    logs: createLiveLogs(services, config.runnerLeaseMs),
    safety:
      config.safetyPolicy === undefined
        ? undefined
        : createSafetyFilter(config.safetyPolicy, { ...(services.classifier === undefined ? {} : { classifier: services.classifier }) }),
    config,
  };
}
