import {
  type CompletionAnswer,
  type CompletionChunk,
  type CompletionInvocation,
  type CompletionUsage,
  InvocationError,
} from '../../invocation.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { Choice, type ChoicePart, joinLogprobs } from './choice.ts';
import type { Metrics } from './metrics.ts';
import type { PlannedChoice, ServedModel } from './plan-completion.ts';

export interface CompletionRun {
  readonly id: string;
  readonly body: CompletionInvocation;
  readonly plan: readonly PlannedChoice[];
  readonly model: ServedModel;
  readonly engine: EngineClient;
  readonly metrics: Metrics;
  /** Seconds since the epoch. */
  readonly created: number;
  /** Aborted when the caller is gone: every choice leaves the engine. */
  readonly signal: AbortSignal;
}

const SYSTEM_FINGERPRINT = 'penstock-1';

const FAILURES = {
  'queue-full': () =>
    new InvocationError('The engine is currently busy. Please try again later.', { code: 503, type: 'ServiceUnavailableError' }),
  'not-a-number': () => new InvocationError('The model produced numbers that are no probabilities for this request.', { code: 500 }),
  'grammar-stuck': () => new InvocationError('No token can follow under the grammar of this request.', { code: 500 }),
  'unknown-adapter': () => new InvocationError('The adapter was unloaded.', { code: 404, param: 'model' }),
  'step-failed': () => new InvocationError('The engine could not compute a step of this request.', { code: 500 }),
  'engine-gone': () => new InvocationError('The engine stopped while it worked on this request.', { code: 500 }),
} as const;

/**
 * Runs all choices, telling of each part as it comes. Resolves when every choice is finished.
 * Rejects with an `InvocationError` when the engine refuses or fails; the other choices are stopped then.
 */
function generate(run: CompletionRun, onPart: (choice: Choice, part: ChoicePart) => void): Promise<Choice[]> {
  const { body, plan, model, engine, metrics, signal } = run;
  const choices = plan.map((planned) => new Choice(planned, body, model.tokenizer));
  const startedAt = performance.now();
  return new Promise((resolve, reject) => {
    let open = choices.length;
    const stopAll = () => {
      for (const { request } of plan) engine.cancel(request.id);
      signal.removeEventListener('abort', abort);
    };
    const abort = () => {
      stopAll();
      metrics.countFinished('abort');
      reject(signal.reason);
    };
    if (signal.aborted) {
      abort();
      return;
    }
    signal.addEventListener('abort', abort);
    for (const [i, { request }] of plan.entries()) {
      const choice = choices[i];
      if (choice === undefined) continue;
      let lastAt = startedAt;
      metrics.promptTokens += request.promptTokenIds.length;
      engine.submit(request, (event) => {
        if (event.type === 'failed') {
          stopAll();
          if (event.reason === 'queue-full') metrics.countRejected('queue-full');
          else metrics.countFinished('error');
          reject(FAILURES[event.reason]());
          return;
        }
        const now = performance.now();
        if (event.type === 'started') metrics.queueTime.observe((now - startedAt) / 1000);
        const part = choice.read(event);
        if (part === undefined) return;
        const seconds = (now - lastAt) / 1000;
        if (lastAt === startedAt) metrics.firstToken.observe(seconds);
        else metrics.interToken.observe(seconds);
        lastAt = now;
        metrics.generationTokens += part.tokenIds.length;
        onPart(choice, part);
        if (part.finishReason === null) return;
        metrics.countFinished(part.finishReason);
        metrics.requestLatency.observe((now - startedAt) / 1000);
        engine.cancel(request.id); // a stop string ends it here before the engine knows
        open--;
        if (open > 0) return;
        signal.removeEventListener('abort', abort);
        resolve(choices);
      });
    }
  });
}

/** Sends chunks as they come, the usage chunk when it is asked for; the caller adds `[DONE]`. */
export async function streamCompletion(run: CompletionRun, send: (chunk: CompletionChunk) => void): Promise<void> {
  const { body } = run;
  const seen = new Set<number>();
  const withUsage = body.stream_options?.include_usage === true;
  const continuous = withUsage && body.stream_options?.continuous_usage_stats === true;
  const choices = await generate(run, (choice, part) => {
    const isFirst = !seen.has(choice.index);
    seen.add(choice.index);
    const ids = body.return_token_ids ? { prompt_token_ids: isFirst ? choice.promptTokenIds : null, token_ids: part.tokenIds } : {};
    send({
      ...envelope(run),
      choices: [{ ...shapeChoice(choice, part), ...ids }],
      ...(continuous ? { usage: usageOf([choice]) } : {}),
    });
  });
  if (!withUsage) return;
  send({ ...envelope(run), choices: [], usage: usageOf(choices), system_fingerprint: SYSTEM_FINGERPRINT });
}

export async function answerCompletion(run: CompletionRun): Promise<CompletionAnswer> {
  const { body } = run;
  const parts = new Map<Choice, ChoicePart>();
  const choices = await generate(run, (choice, part) => {
    const before = parts.get(choice);
    parts.set(choice, before === undefined ? part : joinParts(before, part));
  });
  return {
    ...envelope(run),
    choices: keepBest(choices, body).map((choice, index) => {
      const part = parts.get(choice) ?? NOTHING;
      return {
        ...shapeChoice(choice, part),
        index,
        finish_reason: part.finishReason ?? 'length',
        token_ids: body.return_token_ids ? part.tokenIds : null,
        prompt_logprobs: choice.promptLogprobs,
        prompt_token_ids: body.return_token_ids ? choice.promptTokenIds : null,
      };
    }),
    usage: usageOf(choices),
    system_fingerprint: SYSTEM_FINGERPRINT,
  };
}

/** The `n` likeliest of each prompt's `best_of` candidates, best first; all of them, in order, without `best_of`. */
function keepBest(choices: readonly Choice[], { n, best_of: bestOf }: CompletionInvocation): readonly Choice[] {
  if (!bestOf || bestOf === n) return choices;
  const prompts = Array.from({ length: choices.length / bestOf }, (_, i) => choices.slice(i * bestOf, (i + 1) * bestOf));
  return prompts.flatMap((candidates) => candidates.toSorted((a, b) => b.meanLogprob - a.meanLogprob).slice(0, n));
}

const NOTHING: ChoicePart = { text: '', tokenIds: [], logprobs: null, finishReason: 'length', stopReason: null };

function joinParts(first: ChoicePart, second: ChoicePart): ChoicePart {
  return {
    ...second,
    text: first.text + second.text,
    tokenIds: [...first.tokenIds, ...second.tokenIds],
    logprobs: joinLogprobs(first.logprobs, second.logprobs),
  };
}

function shapeChoice(choice: Choice, { text, logprobs, finishReason, stopReason }: ChoicePart) {
  return { index: choice.index, text, logprobs, finish_reason: finishReason, stop_reason: stopReason };
}

function envelope({ id, created, model }: CompletionRun) {
  return { id, object: 'text_completion' as const, created, model: model.name };
}

function usageOf(choices: readonly Choice[]): CompletionUsage {
  // Siblings share their prompt, which is counted once; several prompts are counted each.
  const prompts = new Set(choices.map(({ promptTokenIds }) => promptTokenIds));
  const promptTokens = [...prompts].reduce((sum, prompt) => sum + prompt.length, 0);
  const completionTokens = choices.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0);
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + completionTokens,
    completion_tokens: completionTokens,
    prompt_tokens_details: { cached_tokens: Math.min(...choices.map(({ cachedTokens }) => cachedTokens)) },
  };
}
