import { type ContinuationPromise, chooseSeed, promiseOf } from '../generation/continuation.ts';
import type { Generation } from '../generation/generation.ts';
import type { Room } from '../generation/room.ts';
import type { Caller } from '../keys/caller.ts';
import { isPortable, type Screening } from '../safety/screening.ts';
import type { LoadedModel } from '../served-models.ts';
import { chooseModel } from './choose-model.ts';
import { echoPrompt } from './echo-prompt.ts';
import { fitPrompt } from './fit-prompt.ts';
import { describeChoice, detokenizeChoice } from './generate-choice.ts';
import type { GenerationEvent, GenerationRequest } from './generation-request.ts';
import { holdTokens, targetsOf } from './hold-tokens.ts';
import { keepBest } from './keep-best.ts';
import { mergeChoices } from './merge-choices.ts';
import { parseOutput } from './parse-output.ts';
import { type ChoicePlan, planChoices } from './plan-choices.ts';
import { type OutputPlan, planOutput } from './plan-output.ts';
import { screenInput } from './screen-input.ts';
import { screenOutput } from './screen-output.ts';
import { canBeHandedOver, canBeStored, type StoredPlan, storePlan } from './stored-plan.ts';
import { tokenizePrompt } from './tokenize-prompt.ts';

/** Who asks, and the name under which the answer is kept. */
export interface Admission {
  readonly caller: Caller;
  readonly generationId: string;
  /** Its log is kept, and somebody wants the answer whatever becomes of this process: another may go on with it. */
  readonly mayBeContinued?: boolean;
  /** Another process is to begin it. */
  readonly isHandedOver?: boolean;
  /** Of prompts that were screened already. */
  readonly screening?: Screening;
}

/** An admitted request: its tokens are held, and its events are made as they are read. Read them to their end, or leave the loop. */
export interface RunningGeneration {
  readonly generation: Generation;
  readonly events: AsyncGenerator<GenerationEvent>;
  /** For another process, where it may go on and can. */
  readonly continuation?:
    | {
        readonly plan: StoredPlan;
        readonly promise: ContinuationPromise;
        /** And not go on with what was begun. */
        readonly onlyBegins: boolean;
      }
    | undefined;
}

/**
 * One request from prompt to usage, top to bottom. Aborting the signal or leaving the loop stops the endpoint's work and settles.
 * @throws {GatewayError} when the request cannot be served; its events throw when the endpoint fails.
 */
export async function runGeneration(
  room: Room,
  admission: Admission,
  request: GenerationRequest,
  signal: AbortSignal,
): Promise<RunningGeneration> {
  const { caller, generationId, mayBeContinued = false, isHandedOver = false } = admission;
  const model = chooseModel(room.models, request.modelId, caller.models);
  const { prompts: screened, screening } = await screenInput(room, admission, model, request, signal);
  const fitting = screened.map((prompt) => fitPrompt(model, prompt, request));
  const prompts = await Promise.all(fitting.map((prompt) => tokenizePrompt(model, prompt, request, signal)));
  const promise = promiseOf(targetsOf(model), request.sampling);
  const plans = planChoices(model, prompts, request, chooseSeed(generationId, promise, request.sampling));
  const output = planOutput(model, request);
  const { grammar } = output;
  const isOneByOne = mayBeContinued && promise !== 'none' && canBeStored(plans, request, grammar) && isPortable(screening);
  const generation = await holdTokens(room, { caller, generationId, isOneByOne }, model, plans, request, grammar, screening.verdicts);
  const isLeft = isOneByOne || (isHandedOver && canBeHandedOver(plans) && isPortable(screening));
  const plan = isLeft ? storePlan(model, caller, plans, request, generation, screening) : undefined;
  const events = answer({ room, generation, model, plans, request, output, screening }, signal);
  return { generation, events, continuation: plan && { plan, promise, onlyBegins: !isOneByOne } };
}

/** From the endpoint's ids to what may be shown. Of a generation that another process began, its first ids go through the same steps again. */
export function answer(
  parts: {
    readonly room: Room;
    readonly generation: Generation;
    readonly model: LoadedModel;
    readonly plans: readonly ChoicePlan[];
    readonly request: GenerationRequest;
    readonly output: OutputPlan;
    readonly screening: Screening;
  },
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent> {
  const { room, generation, model, plans, request, output, screening } = parts;
  const stop = new AbortController();
  const running = AbortSignal.any([signal, stop.signal]);
  const choices = plans.map((plan) => {
    const generated = generation.tokens(plan.index, describeChoice(model, plan, request, output.grammar), running);
    const detokenized = detokenizeChoice(generated, model, plan, request.stop);
    const text = request.echo === true ? echoPrompt(detokenized, room.endpoint, model, plan, request, running) : detokenized;
    return { index: plan.index, events: screenOutput(parseOutput(text, output.createParser()), screening, request) };
  });
  return generation.settled(keepBest(mergeChoices(choices, stop), request));
}
