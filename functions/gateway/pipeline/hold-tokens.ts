import { promiseOf } from '../generation/continuation.ts';
import { Generation, HOLD_STEP } from '../generation/generation.ts';
import type { Room } from '../generation/room.ts';
import type { VerdictTally } from '../generation/verdicts.ts';
import type { Caller } from '../keys/caller.ts';
import type { WeightedTarget } from '../routing/choose-target.ts';
import { deploymentOf, type LoadedModel } from '../served-models.ts';
import type { Grammar } from '../services.ts';
import type { GenerationRequest } from './generation-request.ts';
import type { ChoicePlan } from './plan-choices.ts';

/**
 * Sets aside everything that the answer may use and begins the generation: prompts and `max_tokens` to the token, or the first part of an
 * answer that has no `max_tokens` of its own.
 * @throws {RateLimitError | QuotaExceededError} a limit leaves no room for one token of an answer.
 */
export async function holdTokens(
  room: Room,
  { caller, generationId: id, isOneByOne }: { readonly caller: Caller; readonly generationId: string; readonly isOneByOne: boolean },
  model: LoadedModel,
  plans: readonly ChoicePlan[],
  request: GenerationRequest,
  grammar: Grammar | undefined,
  verdicts: VerdictTally,
): Promise<Generation> {
  const { served } = model;
  const promptTokens = plans
    .filter((plan) => plan.index % (request.bestOf ?? request.choicesPerPrompt) === 0)
    .reduce((sum, plan) => sum + plan.promptTokenIds.length, 0);
  const completionTokens = plans
    .map((plan) => (request.maxTokens === undefined ? Math.min(plan.maxTokens, HOLD_STEP) : plan.maxTokens))
    .reduce((sum, tokens) => sum + tokens, 0);
  const price = priceOf(served.price);
  const targets = targetsOf(model);
  const { keyId, projectId, organizationId } = caller;
  const owner = { runnerId: room.runner.id, modelId: served.id, keyId, projectId, organizationId, requestId: request.requestId };
  const leave = room.runner.enter();
  try {
    const hold = await room.meters.hold({ generationId: id, meters: caller.meters, owner, promptTokens, completionTokens, price });
    return new Generation(room, {
      id,
      requestId: request.requestId,
      modelId: served.id,
      caller,
      targets,
      deployment: deploymentOf(room.models, served),
      verdicts,
      promptTokens,
      maxTokens: plans.map((plan) => plan.maxTokens),
      hold,
      isCapped: hold.completionTokens < completionTokens,
      canContinue: grammar === undefined && promiseOf(targets, request.sampling) !== 'none',
      isOneByOne,
      stopTokenIds: served.stopTokenIds,
      isSeedChosen: hasChosenSeed(plans, request),
      leave,
    });
  } catch (error) {
    leave();
    throw error;
  }
}

/** The caller set no seed, and the plan has one. */
export function hasChosenSeed(plans: readonly ChoicePlan[], { sampling }: Pick<GenerationRequest, 'sampling'>): boolean {
  return sampling.seed === undefined && plans.some(({ seed }) => seed !== undefined);
}

/** Where a model is served. */
export function targetsOf({ served: { endpoint, alternatives = [] } }: LoadedModel): readonly WeightedTarget[] {
  return [endpoint, ...alternatives].map(readTarget);
}

export function readTarget(target: LoadedModel['served']['endpoint']): WeightedTarget {
  const { name, weight = 1, continuation = 'valid', inferenceComponent, variant, region } = target;
  return {
    endpointName: name,
    weight,
    continuation,
    ...(inferenceComponent === undefined ? {} : { inferenceComponent }),
    ...(variant === undefined ? {} : { variant }),
    ...(region === undefined ? {} : { region }),
  };
}

/** A dollar for a million tokens is a thousand nano-dollars for one. */
export function priceOf(price: LoadedModel['served']['price']): { promptToken: number; completionToken: number } {
  const nano = (dollarsPerMillion = 0) => Math.round(dollarsPerMillion * 1_000);
  return { promptToken: nano(price?.promptDollarsPerMillion), completionToken: nano(price?.completionDollarsPerMillion) };
}
