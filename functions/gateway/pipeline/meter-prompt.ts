import type { Room } from '../generation/room.ts';
import { costOf } from '../keys/meters.ts';
import type { LoadedModel } from '../served-models.ts';
import { priceOf } from './hold-tokens.ts';
import type { Admission } from './run-generation.ts';

/**
 * Work that reads tokens and writes none: they are set aside before, and written down or given back afterwards.
 * @throws {RateLimitError | QuotaExceededError} a limit leaves no room for them; or whatever the work throws.
 */
export async function meterPrompt<Result>(
  room: Room,
  { caller, generationId }: Admission,
  model: LoadedModel,
  { requestId, promptTokens }: { readonly requestId: string; readonly promptTokens: number },
  work: () => Promise<Result>,
): Promise<Result> {
  const { keyId, projectId, organizationId } = caller;
  const modelId = model.served.id;
  const price = priceOf(model.served.price);
  const owner = { runnerId: room.runner.id, modelId, keyId, projectId, organizationId, requestId };
  const leave = room.runner.enter();
  try {
    const hold = await room.meters.hold({ generationId, meters: caller.meters, owner, promptTokens, completionTokens: 0, price });
    let used = { promptTokens: 0, completionTokens: 0 };
    try {
      const result = await work();
      used = { promptTokens, completionTokens: 0 };
      return result;
    } finally {
      const line = {
        ...{ generationId, requestId, organizationId, projectId, keyId, modelId },
        phase: used.promptTokens > 0 ? ('completed' as const) : ('failed' as const),
        startedAt: hold.at,
        endedAt: room.clock.now(),
        firstTokenMs: null,
        ...used,
        cachedPromptTokens: 0,
        attempts: 1,
        costNanodollars: costOf(used, price),
      };
      await room.meters.settle(hold, await room.ledger.write(line));
    }
  } finally {
    leave();
  }
}
