/**
 * Going on with the answer of a process that died. What it had is read from its log (`token-log.ts`); one write, which only one process gets
 * through, makes the answer this process's own: it changes whose it is and puts a fence where the dead one would write next. If that one was only
 * silent, its next batch fails at the fence, and it stops.
 */
import type { Table } from '../services/table.ts';
import type { Clock } from '../services.ts';
import { decodeIds } from './compact-ids.ts';
import type { GenerationProgress } from './generation-plan.ts';
import { isRunnerAlive, type Runner, runnerAliveUntil } from './runner.ts';
import {
  eventKey,
  eventsIn,
  fenceBehind,
  fenceOf,
  headKey,
  type LoggedEvent,
  type LogHead,
  readBatches,
  readLogHead,
  readPlan,
  stillOf,
} from './token-log.ts';

/** Whatever kills its process every time is not tried for ever. */
const MOST_TAKEOVERS = 5;
/** How long somebody may take to go on with an answer that no lease bounds. Its tokens are held meanwhile. */
const GRACE_MS = 60_000;

export interface LostGeneration {
  readonly id: string;
  readonly head: LogHead;
  readonly plan: string;
  readonly events: readonly LoggedEvent[];
  readonly progress: GenerationProgress;
  readonly earlierFence: string | undefined;
}

/**
 * What is there of an answer that no process works on and that one may go on with; `undefined` for any other.
 * @param isFromQueue also of one that waits in the queue: whoever took it from there asks so, and nobody else.
 */
export async function findLost(
  { table, clock }: { readonly table: Table; readonly clock: Clock },
  id: string,
  runnerLeaseMs: number,
  isFromQueue = false,
): Promise<LostGeneration | undefined> {
  const head = await readLogHead(table, id);
  if (head === undefined || !canBeTaken(head) || isLeaseOver(head, clock.now())) return undefined;
  if (head.isQueued === true ? !isFromQueue : await isRunnerAlive(table, clock, head.runnerId, head.startedAt, runnerLeaseMs))
    return undefined;
  if (!isFromQueue && head.queueGraceMs !== undefined && (await isAwaited({ table, clock }, head))) return undefined;
  const [plan, batches] = await Promise.all([readPlan(table, id), readBatches(table, id, 0)]);
  if (plan === undefined) return undefined;
  const last = batches.at(-1)?.attributes ?? {};
  const { attempts, firstTokenAt } = last;
  return {
    earlierFence: fenceBehind(batches.at(-1))?.name,
    ...{ id, head, plan },
    events: batches.flatMap(eventsIn),
    progress: {
      attempts: typeof attempts === 'number' ? attempts : 0,
      tokenIds: [batches.flatMap(({ attributes: { tokenIds } }) => (typeof tokenIds === 'string' ? decodeIds(tokenIds) : []))],
      firstTokenAt: typeof firstTokenAt === 'number' ? firstTokenAt : undefined,
    },
  };
}

/** Says that all of it is there: its process died before it could. */
export async function endComplete({ table }: { readonly table: Table }, { id, head }: LostGeneration): Promise<void> {
  await table.write({ type: 'update', key: headKey(id), set: { ended: true }, if: stillOf(head.runnerId) });
}

/** True for exactly one of all processes that found it as it was. */
export async function takeOver(
  { table, clock }: { readonly table: Table; readonly clock: Clock },
  { id, head, events, progress, earlierFence }: LostGeneration,
  runnerId: string,
  expiresAt: number,
): Promise<boolean> {
  const takeovers = (head.takeovers ?? 0) + 1;
  const first = events.length + 1;
  const completionTokens = progress.tokenIds.reduce((sum, tokenIds) => sum + tokenIds.length, 0);
  const { attempts, firstTokenAt } = progress;
  const fence = { first, frames: [], completionTokens, attempts, firstTokenAt: firstTokenAt ?? null, fence: fenceOf(runnerId, takeovers) };
  return await table.writeAll([
    {
      type: 'update',
      key: headKey(id),
      set: { runnerId, takeovers, startedAt: clock.now(), isQueued: false, canGoOn: head.onlyBegins !== true },
      if: [...stillOf(head.runnerId), { attribute: 'isLost', is: 'absent' }, { attribute: 'takeovers', equals: head.takeovers ?? 0 }],
    },
    {
      type: 'put',
      key: eventKey(id, first),
      attributes: fence,
      expiresAt,
      if: [earlierFence === undefined ? { row: 'absent' } : { attribute: 'fence', equals: earlierFence }],
    },
  ]);
}

/** Nobody took this process for dead and went on with its answer. */
export async function isStillMine(table: Table, runner: Runner, id: string): Promise<boolean> {
  if (!runner.hasBeenSilent()) return true;
  const head = await readLogHead(table, id);
  return head === undefined || head.runnerId === runner.id;
}

/** Somebody may still go on with the answer of this process, which is dead: its tokens are not given back yet. */
export async function isAwaited({ table, clock }: { readonly table: Table; readonly clock: Clock }, head: LogHead): Promise<boolean> {
  if (!canBeTaken(head)) return false;
  if (head.isQueued === true) return true; // as long as its log is kept
  if (typeof head.leaseMs === 'number') return !isLeaseOver(head, clock.now());
  return clock.now() < (await runnerAliveUntil(table, head.runnerId, head.startedAt)) + (head.queueGraceMs ?? GRACE_MS);
}

function canBeTaken(head: LogHead): boolean {
  return head.canGoOn === true && !head.ended && head.isLost !== true && !head.cancelRequested && (head.takeovers ?? 0) < MOST_TAKEOVERS;
}

function isLeaseOver({ leaseMs, acknowledgedAt }: LogHead, nowMs: number): boolean {
  return typeof leaseMs === 'number' && nowMs - acknowledgedAt > leaseMs;
}
