import { promiseOf } from '../generation/continuation.ts';
import { Generation } from '../generation/generation.ts';
import type { GenerationProgress } from '../generation/generation-plan.ts';
import { readHold } from '../generation/reclaim-holds.ts';
import type { Room } from '../generation/room.ts';
import { type Hold, meterKey } from '../keys/meters.ts';
import { startScreening } from '../safety/screening.ts';
import type { TenantSafety } from '../safety/tenant-safety.ts';
import { deploymentOf } from '../served-models.ts';
import { hasChosenSeed, priceOf, targetsOf } from './hold-tokens.ts';
import { planOutput } from './plan-output.ts';
import { answer, type RunningGeneration } from './run-generation.ts';
import { canBeStored, readStoredPlan, type StoredPlan } from './stored-plan.ts';

/**
 * An admitted request whose process died, from where it was: under the same hold, from prompt ids and emitted ids, through the same steps, so that
 * its events are made again and then go on. The caller has taken it over.
 * @param left completion tokens that it may have in all.
 */
export function continueGeneration(
  room: Room,
  generationId: string,
  stored: StoredPlan,
  before: GenerationProgress,
  { hold, isCapped, safety }: HeldBefore,
  signal: AbortSignal,
): RunningGeneration {
  const { request, plan } = readStoredPlan(stored);
  const model = room.models.get(request.modelId);
  if (model === undefined) throw new Error('it was looked for before');
  const { served } = model;
  const output = planOutput(model, request);
  const targets = targetsOf(model);
  const screening = startScreening(safety);
  const generation = new Generation(room, {
    id: generationId,
    requestId: request.requestId,
    modelId: served.id,
    caller: stored.caller,
    targets,
    deployment: deploymentOf(room.models, served),
    verdicts: screening.verdicts,
    promptTokens: stored.promptTokens,
    maxTokens: [plan.maxTokens],
    hold,
    isCapped,
    canContinue: output.grammar === undefined && promiseOf(targets, request.sampling) !== 'none',
    isOneByOne: canBeStored([plan], request, output.grammar),
    stopTokenIds: served.stopTokenIds,
    isSeedChosen: hasChosenSeed([plan], request),
    before,
    leave: room.runner.enter(),
  });
  const events = answer({ room, generation, model, plans: [plan], request, output, screening }, signal);
  return { generation, events };
}

export interface HeldBefore {
  readonly hold: Hold;
  readonly isCapped: boolean;
  /** What judges its answer. */
  readonly safety: TenantSafety | undefined;
}

/**
 * The tokens that are set aside for it; `undefined` when it cannot go on: they were given back, or this process does not serve its model as the other
 * one did. A process that died between settling and its last event is charged already: what it was charged for is told again, and no more.
 */
export async function findHeld(room: Room, generationId: string, stored: StoredPlan): Promise<HeldBefore | undefined> {
  const { caller, request, tokenizerDigest, promptTokens, heldAt } = stored;
  const model = room.models.get(request.modelId);
  if (model === undefined || model.pipeline !== undefined || model.tokenizer.digest !== tokenizerDigest) return undefined;
  const safety = await room.policies.find(caller);
  if (safety?.policy.digest !== stored.policyDigest) return undefined;
  const { keyId, projectId, organizationId, meters } = caller;
  const owner = { runnerId: room.runner.id, modelId: model.served.id, keyId, projectId, organizationId, requestId: request.requestId };
  const price = priceOf(model.served.price);
  const hold = { generationId, meters, owner, promptTokens, price, at: heldAt, rateLimits: { headers: {} } };
  const rows = await Promise.all(meters.map((meter) => room.table.read(meterKey(meter.name))));
  const [held] = rows.map((row) => readHold(row, generationId)).filter((one) => one !== undefined);
  if (held !== undefined) {
    const heldPrice = { promptToken: held.promptTokenPrice, completionToken: held.completionTokenPrice };
    return { hold: { ...hold, price: heldPrice, completionTokens: held.completionTokens }, isCapped: stored.isCapped, safety };
  }
  const line = await room.ledger.find({ organizationId, startedAt: heldAt, generationId });
  if (line === undefined || line.phase === 'failed' || line.phase === 'cancelled') return undefined;
  return { hold: { ...hold, completionTokens: line.completionTokens }, isCapped: true, safety };
}
