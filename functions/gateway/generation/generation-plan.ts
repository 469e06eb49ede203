import type { ModelDeployment } from '../../../models/catalog.ts';
import type { Caller } from '../keys/caller.ts';
import type { Hold, Meters } from '../keys/meters.ts';
import type { WeightedTarget } from '../routing/choose-target.ts';
import type { RetryBudget } from '../routing/retry-budget.ts';
import type { TargetHealth } from '../routing/target-health.ts';
import type { TargetStatuses } from '../routing/target-statuses.ts';
import type { Table } from '../services/table.ts';
import type { Clock, Endpoint, EndpointRequest, Log } from '../services.ts';
import type { Switches } from '../switches.ts';
import type { CapacityQueue } from './capacity-queue.ts';
import type { Ledger } from './ledger.ts';
import type { Runner } from './runner.ts';
import type { VerdictTally } from './verdicts.ts';

/** What every generation of this process shares. */
export interface GenerationRoom {
  readonly endpoint: Endpoint;
  readonly meters: Meters;
  readonly ledger: Ledger;
  readonly health: TargetHealth;
  readonly statuses: TargetStatuses;
  readonly queue: CapacityQueue;
  readonly retries: RetryBudget;
  readonly table: Table;
  readonly runner: Runner;
  readonly clock: Clock;
  readonly log: Log;
  readonly switches: Switches;
  readonly config: { readonly retry: { readonly maxFailures: number; readonly canWait: boolean; readonly hedgeAfterMs: number } };
}

export interface GenerationPlan {
  readonly id: string;
  readonly requestId: string;
  readonly modelId: string;
  readonly caller: Caller;
  readonly targets: readonly WeightedTarget[];
  /** How the model is deployed: what an instance costs. */
  readonly deployment: ModelDeployment | undefined;
  readonly verdicts: VerdictTally;
  /** Each prompt's tokens, counted once, however many choices it has. */
  readonly promptTokens: number;
  readonly maxTokens: readonly number[];
  readonly hold: Hold;
  /** The budget had no more than was set aside. */
  readonly isCapped: boolean;
  readonly canContinue: boolean;
  readonly stopTokenIds: readonly number[];
  /** The caller set no seed, and one was chosen. */
  readonly isSeedChosen: boolean;
  /** Hands tokens on one by one, however many an endpoint sends at once: whoever makes the same answer again then has the same events. */
  readonly isOneByOne: boolean;
  /** What another process had of it. */
  readonly before?: GenerationProgress;
  readonly leave: () => void;
}

/** How far a generation has come. */
export interface GenerationProgress {
  readonly attempts: number;
  /** Each choice's ids. */
  readonly tokenIds: readonly (readonly number[])[];
  readonly firstTokenAt: number | undefined;
}

/** One choice's request without what changes from call to call. */
export type ChoiceRequest = Omit<EndpointRequest, 'target'>;
