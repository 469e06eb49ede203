import type { Generation } from '../generation/generation.ts';
import type { Room } from '../generation/room.ts';
import { VerdictTally } from '../generation/verdicts.ts';
import type { Caller } from '../keys/caller.ts';
import { chooseModel } from './choose-model.ts';
import { echoPrompt } from './echo-prompt.ts';
import { fitPrompt } from './fit-prompt.ts';
import { describeChoice, detokenizeChoice } from './generate-choice.ts';
import type { GenerationEvent, GenerationRequest } from './generation-request.ts';
import { holdTokens } from './hold-tokens.ts';
import { keepBest } from './keep-best.ts';
import { mergeChoices } from './merge-choices.ts';
import { parseOutput } from './parse-output.ts';
import { planChoices } from './plan-choices.ts';
import { planOutput } from './plan-output.ts';
import { screenInput } from './screen-input.ts';
import { screenOutput } from './screen-output.ts';
import { tokenizePrompt } from './tokenize-prompt.ts';

/** Who asks, and the name under which the answer is kept. */
export interface Admission {
  readonly caller: Caller;
  readonly generationId: string;
}

/** An admitted request: its tokens are held, and its events are made as they are read. Read them to their end, or leave the loop. */
export interface RunningGeneration {
  readonly generation: Generation;
  readonly events: AsyncGenerator<GenerationEvent>;
}

/**
 * One request from prompt to usage, top to bottom. Aborting the signal or leaving the loop stops the endpoint's work and settles.
 * @throws {GatewayError} when the request cannot be served; its events throw when the endpoint fails.
 */
export async function runGeneration(
  room: Room,
  { caller, generationId }: Admission,
  request: GenerationRequest,
  signal: AbortSignal,
): Promise<RunningGeneration> {
  const model = chooseModel(room.models, request.modelId, caller.models);
  const verdicts = new VerdictTally();
  const screened = await Promise.all(request.prompts.map((prompt) => screenInput(room.safety, prompt, request, signal, verdicts)));
  const fitting = screened.map((prompt) => fitPrompt(model, prompt, request));
  const prompts = await Promise.all(fitting.map((prompt) => tokenizePrompt(model, prompt, request, signal)));
  const plans = planChoices(model, prompts, request);
  const { grammar, createParser } = planOutput(model, request);
  const generation = await holdTokens(room, { caller, generationId }, model, plans, request, grammar, verdicts);
  const stop = new AbortController();
  const running = AbortSignal.any([signal, stop.signal]);
  const choices = plans.map((plan) => {
    const generated = generation.tokens(plan.index, describeChoice(model, plan, request, grammar), running);
    const answer = detokenizeChoice(generated, model, plan, request.stop);
    const text = echoPrompt(answer, room.endpoint, model, plan, request, running);
    return { index: plan.index, events: screenOutput(parseOutput(text, createParser()), room.safety, verdicts) };
  });
  return { generation, events: generation.settled(keepBest(mergeChoices(choices, stop), request)) };
}
