import type { ServedModel } from '../../../models/catalog.ts';
import { UNKNOWN_RUN } from '../generation/ledger.ts';
import { ownCostOf } from '../generation/own-cost.ts';
import type { Room } from '../generation/room.ts';
import type { VerdictTally } from '../generation/verdicts.ts';
import { costOf } from '../keys/meters.ts';
import { priceOf } from './hold-tokens.ts';
import type { Admission } from './run-generation.ts';

export interface MeteredPrompt {
  readonly id: ServedModel['id'];
  readonly price: ServedModel['price'];
  /** The own instances that do it. */
  readonly deployment: ServedModel['deployment'];
  readonly requestId: string;
  /** At most so many are read. */
  readonly promptTokens: number;
  /** What the safety policy found in it. */
  readonly verdicts?: VerdictTally | undefined;
}

/**
 * Work that reads tokens and writes none: they are set aside before, and written down or given back afterwards.
 * @throws {RateLimitError | QuotaExceededError} a limit leaves no room for them; or whatever the work throws.
 */
export async function meterPrompt<Result>(
  room: Room,
  { caller, generationId }: Admission,
  request: MeteredPrompt,
  work: () => Promise<{ readonly result: Result; readonly promptTokens: number }>,
): Promise<Result> {
  const { keyId, projectId, organizationId } = caller;
  const { id: modelId, requestId, promptTokens } = request;
  const price = priceOf(request.price);
  const owner = { runnerId: room.runner.id, modelId, keyId, projectId, organizationId, requestId };
  const leave = room.runner.enter();
  try {
    const hold = await room.meters.hold({ generationId, meters: caller.meters, owner, promptTokens, completionTokens: 0, price });
    const beganAt = room.clock.now();
    let used = { promptTokens: 0, completionTokens: 0 };
    try {
      const done = await work();
      used = { promptTokens: done.promptTokens, completionTokens: 0 };
      return done.result;
    } finally {
      const endedAt = room.clock.now();
      const busyMs = used.promptTokens > 0 ? endedAt - beganAt : 0;
      const line = {
        ...{ generationId, requestId, organizationId, projectId, keyId, modelId },
        phase: used.promptTokens > 0 ? ('completed' as const) : ('failed' as const),
        startedAt: hold.at,
        endedAt,
        firstTokenMs: null,
        ...used,
        cachedPromptTokens: 0,
        attempts: 1,
        ...UNKNOWN_RUN,
        busyMs,
        verdicts: request.verdicts?.verdicts ?? null,
        costNanodollars: costOf(used, price),
        ownCostNanodollars: ownCostOf(request.deployment, busyMs),
      };
      await room.meters.settle(hold, await room.ledger.write(line));
    }
  } finally {
    leave();
  }
}
