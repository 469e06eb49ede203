/**
 * What is kept of an admitted request so that another process can go on with its answer: the ids that the model reads, how they are continued, for
 * whom. Answers of several choices, under a grammar, or with log-probabilities are not continued: their events do not follow from ids alone. An
 * answer of one choice, whatever its form, can be begun elsewhere.
 */
import { decodeIds, encodeIds } from '../generation/compact-ids.ts';
import type { Generation } from '../generation/generation.ts';
import type { Caller } from '../keys/caller.ts';
import type { Screening } from '../safety/screening.ts';
import type { LoadedModel } from '../served-models.ts';
import type { Grammar } from '../services.ts';
import type { GenerationRequest } from './generation-request.ts';
import type { ChoicePlan } from './plan-choices.ts';
import type { ToolUse } from './tools.ts';

/** In JSON's words. */
export interface StoredPlan {
  /** Ids mean nothing in another vocabulary. */
  readonly tokenizerDigest: string;
  readonly caller: Caller;
  readonly request: Omit<GenerationRequest, 'prompts' | 'sampling'> & {
    readonly sampling: Omit<GenerationRequest['sampling'], 'logitBias'> & { readonly logitBias?: readonly (readonly [number, number])[] };
  };
  readonly promptTokenIds: string;
  /** The policy that judges its answer: under another one its first events would not be the same. */
  readonly policyDigest?: string;
  readonly maxTokens: number;
  readonly seed?: number;
  readonly promptTokens: number;
  readonly isCapped: boolean;
  /** When its tokens were set aside, in milliseconds since the epoch. */
  readonly heldAt: number;
}

export function canBeStored(plans: readonly ChoicePlan[], request: GenerationRequest, grammar: Grammar | undefined): boolean {
  return plans.length === 1 && grammar === undefined && request.topLogprobs === undefined;
}

/** Another process can begin it, whatever it may do with what was begun. */
export function canBeHandedOver(plans: readonly ChoicePlan[]): boolean {
  return plans.length === 1;
}

export function storePlan(
  model: LoadedModel,
  caller: Caller,
  [plan]: readonly ChoicePlan[],
  request: GenerationRequest,
  { hold, isCapped }: Pick<Generation, 'hold' | 'isCapped'>,
  { safety }: Screening,
): StoredPlan | undefined {
  if (plan === undefined) return undefined;
  const { prompts: _prompts, sampling, toolUse, ...rest } = request;
  const { logitBias, ...others } = sampling;
  return {
    tokenizerDigest: model.tokenizer.digest,
    caller,
    request: {
      ...rest,
      ...(toolUse === undefined ? {} : { toolUse: storeTools(toolUse) }),
      sampling: { ...others, ...(logitBias === undefined ? {} : { logitBias: [...logitBias] }) },
    },
    promptTokenIds: encodeIds(plan.promptTokenIds),
    ...(safety === undefined ? {} : { policyDigest: safety.policy.digest }),
    maxTokens: plan.maxTokens,
    ...(plan.seed === undefined ? {} : { seed: plan.seed }),
    promptTokens: hold.promptTokens,
    isCapped,
    heldAt: hold.at,
  };
}

/** The prompt is rendered: of its tools only the names are needed to read calls, and the whole of those that the model is made to call. */
function storeTools({ choice, parallel, tools }: ToolUse): ToolUse {
  const isForced = choice.type === 'required' || choice.type === 'named';
  return { choice, parallel, tools: isForced ? tools : tools.map(({ name }) => ({ name })) };
}

export function readStoredPlan({ request, promptTokenIds, maxTokens, seed }: StoredPlan): {
  readonly request: GenerationRequest;
  readonly plan: ChoicePlan;
} {
  const tokenIds = decodeIds(promptTokenIds);
  const { logitBias, ...sampling } = request.sampling;
  return {
    request: {
      ...request,
      prompts: [{ type: 'tokens', tokenIds }],
      sampling: { ...sampling, ...(logitBias === undefined ? {} : { logitBias: new Map(logitBias) }) },
    },
    plan: { index: 0, promptTokenIds: tokenIds, maxTokens, seed },
  };
}
