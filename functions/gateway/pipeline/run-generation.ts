import type { Services } from '../services.ts';
import { chooseModel } from './choose-model.ts';
import { detokenizeChoice, invokeEndpoint } from './generate-choice.ts';
import type { GenerationEvent, GenerationRequest } from './generation-request.ts';
import { mergeChoices } from './merge-choices.ts';
import { parseOutput } from './parse-output.ts';
import { planChoices } from './plan-choices.ts';
import { planOutput } from './plan-output.ts';
import { tokenizePrompt } from './tokenize-prompt.ts';

/**
 * One request from prompt to usage, top to bottom. Aborting the signal or leaving the loop stops the endpoint's work.
 * @throws {GatewayError} before the first event when the request cannot be served; later when the endpoint fails in mid-answer.
 */
export async function* runGeneration(services: Services, request: GenerationRequest, signal: AbortSignal): AsyncGenerator<GenerationEvent> {
  const model = chooseModel(services.models, request.modelId);
  const prompts = await Promise.all(request.prompts.map((prompt) => tokenizePrompt(model, prompt, request.promptParam, signal)));
  const plans = planChoices(model, prompts, request);
  const { grammar, createParser } = planOutput(model, request);
  const stop = new AbortController();
  const running = AbortSignal.any([signal, stop.signal]);
  const choices = plans.map((plan) => {
    const generated = invokeEndpoint(services.endpoint, model, plan, request, grammar, running);
    const text = detokenizeChoice(generated, model, plan, request.stop);
    return { index: plan.index, events: parseOutput(text, createParser()) };
  });
  yield* mergeChoices(choices, stop);
}
