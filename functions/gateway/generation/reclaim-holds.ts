/**
 * Settles the holds of processes that died: their generations get their ledger line and what they did not use goes back. Whoever needs the room
 * does it, and the server does it from time to time. What the dead process delivered is known from its log, when it kept one; without a log
 * the prompt is charged and nothing of the answer. A generation that another process went on with, or still may, keeps its hold.
 */
import * as v from 'valibot';
import { costOf, createMeters } from '../keys/meters.ts';
import type { Row, Value } from '../services/table.ts';
import type { Services } from '../services.ts';
import { createLedger, type Ledger, UNKNOWN_RUN } from './ledger.ts';
import { isRunnerAlive } from './runner.ts';
import { isAwaited } from './takeover.ts';
import { countLoggedTokens, markLost, readLogHead } from './token-log.ts';

const holdSchema = v.object({
  runnerId: v.string(),
  modelId: v.string(),
  keyId: v.string(),
  projectId: v.string(),
  organizationId: v.string(),
  requestId: v.string(),
  at: v.number(),
  promptTokens: v.number(),
  completionTokens: v.number(),
  promptTokenPrice: v.number(),
  completionTokenPrice: v.number(),
  meters: v.array(v.string()),
});

/** A generation's hold as it stands in a meter's row. */
export function readHold(row: Row | undefined, generationId: string): v.InferOutput<typeof holdSchema> | undefined {
  const value = row?.attributes[`hold/${generationId}`];
  return value === undefined ? undefined : v.parse(holdSchema, value);
}

type ReclaimServices = Pick<Services, 'table' | 'clock' | 'log'> & {
  /** How long a process may be silent until it counts as dead. */
  readonly runnerLeaseMs: number;
  /** Goes on with an answer whose process died; true when this process does. */
  readonly goOn?: (generationId: string) => Promise<boolean>;
};

/** @returns what settles the dead holds on these meter rows: true when there were some. */
export function createReclaimer(services: ReclaimServices, ledger: Ledger): (rows: readonly Row[]) => Promise<boolean> {
  return async (rows) => {
    const reclaimed = await Promise.all(
      rows.flatMap((row) =>
        Object.entries(row.attributes)
          .filter(([name]) => name.startsWith('hold/'))
          .map(([name, value]) => reclaimHold(services, ledger, name.slice('hold/'.length), value)),
      ),
    );
    return reclaimed.some(Boolean);
  };
}

/** Looks at every key's meter. @returns how many meters had something to give back. */
export async function reclaimAll(services: ReclaimServices, meterNames: readonly string[]): Promise<number> {
  const reclaim = createReclaimer(services, createLedger(services.table));
  let count = 0;
  for (const name of meterNames) {
    const row = await services.table.read({ partition: `meter/${name}`, sort: 'meter' });
    if (row !== undefined && (await reclaim([row]))) count += 1;
  }
  return count;
}

async function reclaimHold(services: ReclaimServices, ledger: Ledger, generationId: string, value: Value): Promise<boolean> {
  const hold = v.parse(holdSchema, value);
  const { table, clock, log, runnerLeaseMs } = services;
  if (await isRunnerAlive(table, clock, hold.runnerId, hold.at, runnerLeaseMs)) return false;
  if (!(await isGivenUp(services, generationId))) return false;
  const price = { promptToken: hold.promptTokenPrice, completionToken: hold.completionTokenPrice };
  const logged = Math.min(hold.completionTokens, await countLoggedTokens(table, generationId));
  const used = { promptTokens: hold.promptTokens, completionTokens: logged };
  const line = await ledger.write({
    generationId,
    requestId: hold.requestId,
    organizationId: hold.organizationId,
    projectId: hold.projectId,
    keyId: hold.keyId,
    modelId: hold.modelId,
    phase: 'failed',
    startedAt: hold.at,
    endedAt: clock.now(),
    firstTokenMs: null,
    ...used,
    cachedPromptTokens: 0,
    attempts: 1,
    ...UNKNOWN_RUN,
    costNanodollars: costOf(used, price),
  });
  const meters = hold.meters.map((name) => ({ name, limits: {} }));
  const settled = await createMeters(table, clock).settle({ ...hold, generationId, meters, price }, line);
  if (settled) log.write('warn', 'hold-reclaimed', { generationId, completionTokens: line.completionTokens });
  return settled;
}

/** No process works on it, and from now on none will. */
async function isGivenUp({ table, clock, runnerLeaseMs, goOn }: ReclaimServices, generationId: string): Promise<boolean> {
  if ((await goOn?.(generationId)) === true) return false;
  const head = await readLogHead(table, generationId);
  if (head === undefined || head.ended || head.isLost === true) return true;
  if (await isRunnerAlive(table, clock, head.runnerId, head.startedAt, runnerLeaseMs)) return false;
  return !(await isAwaited({ table, clock }, head)) && (await markLost(table, generationId, head.runnerId));
}
