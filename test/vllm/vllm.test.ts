/** The production path in front of a real vLLM: driver -> SDK -> local SageMaker runtime -> vLLM. Run by `npm run test:vllm`. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSageMakerEndpoint } from '../../functions/drivers/sagemaker-endpoint.ts';
import type { EndpointRequest } from '../../functions/gateway/services.ts';
import { collect, endpointRequest, failureOf, idsOf } from '../contracts/endpoint.ts';
import { startTestRuntime, type TestRuntime } from '../support/sagemaker-runtime.ts';
import { loadRecording, recordedAnswer, recordedBody, recordedChoices } from '../support/vllm-recordings.ts';

const VLLM_URL = process.env['VLLM_URL'] ?? '';

let runtime: TestRuntime;
let endpoint: ReturnType<typeof createSageMakerEndpoint>;

beforeAll(async () => {
  runtime = await startTestRuntime({
    endpoints: {
      gpt: {
        inferenceComponents: {
          base: { containers: [VLLM_URL] },
          missing: { baseInferenceComponentName: 'base', adapterIdentifier: 'no-such-adapter' },
        },
      },
    },
  });
  endpoint = createSageMakerEndpoint({ client: runtime.client });
});
afterAll(async () => {
  endpoint.close();
  await runtime[Symbol.asyncDispose]();
});

const invoke = (request: Partial<EndpointRequest>, signal = new AbortController().signal) =>
  endpoint.invoke(
    { ...endpointRequest(loadRecording('stream-length')), target: { endpointName: 'gpt', inferenceComponent: 'base' }, ...request },
    signal,
  );

/** vLLM's own answer, asked for directly and not streamed. */
async function direct(
  body: object,
): Promise<{ choices: { token_ids: number[]; logprobs: { token_logprobs: number[] } | null; finish_reason: string }[] }> {
  const response = await fetch(`${VLLM_URL}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ return_token_ids: true, temperature: 0, ...body }),
  });
  return JSON.parse(await response.text());
}

async function gauge(name: string): Promise<number> {
  const text = await (await fetch(`${VLLM_URL}/metrics`)).text();
  const value = text.match(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, 'm'))?.[1];
  if (value === undefined) throw new Error(`vLLM shows no ${name}`);
  return Number(value);
}

describe('the driver', () => {
  it.each(['stream-length', 'stream-eos', 'stream-stop-token'])('gets today what was recorded: %s', async (name) => {
    const recording = loadRecording(name);
    const choices = recordedChoices(recording);
    const events = await collect(invoke(endpointRequest(recording)));
    expect(idsOf(events)).toEqual(choices.flatMap((choice) => choice.token_ids));
    expect(events.at(-1)).toMatchObject({ type: 'end', finishReason: choices.at(-1)?.finish_reason });
  });

  it.each([
    { promptTokenIds: [504], maxTokens: 40 },
    { promptTokenIds: [1, 4093, 198, 28120, 2, 198, 1, 520, 9531, 198], maxTokens: 60 },
    { promptTokenIds: Array.from({ length: 900 }, (_, index) => 300 + ((index * 37) % 40_000)), maxTokens: 24 },
  ])('streams the ids that vLLM answers when it is asked directly', async ({ promptTokenIds, maxTokens }) => {
    const [choice] = (await direct({ prompt: promptTokenIds, max_tokens: maxTokens })).choices;
    const events = await collect(invoke({ promptTokenIds, maxTokens, stopTokenIds: [] }));
    expect(idsOf(events)).toEqual(choice?.token_ids);
    expect(events.at(-1)).toMatchObject({ finishReason: choice?.finish_reason });
  });

  it('samples by its seed as vLLM does', async () => {
    const sampling = {
      temperature: 0.9,
      topP: 0.95,
      topK: 50,
      seed: 11,
      frequencyPenalty: 0.2,
      presencePenalty: 0.1,
      logitBias: new Map([[198, -100]]),
    };
    const events = await collect(invoke({ maxTokens: 24, sampling }));
    const [choice] = (
      await direct({
        ...{ prompt: [504, 3575, 282, 4649, 314], max_tokens: 24, temperature: 0.9, top_p: 0.95, top_k: 50, seed: 11 },
        ...{ frequency_penalty: 0.2, presence_penalty: 0.1, logit_bias: { 198: -100 } },
      })
    ).choices;
    expect(idsOf(events)).toEqual(choice?.token_ids);
    expect(idsOf(events)).not.toContain(198);
  });

  it('gets the log-probabilities', async () => {
    const events = await collect(invoke({ maxTokens: 6, topLogprobs: 4 }));
    const [choice] = (await direct({ prompt: [504, 3575, 282, 4649, 314], max_tokens: 6, logprobs: 4 })).choices;
    const positions = events.flatMap((event) => (event.type === 'tokens' ? (event.logprobs ?? []) : []));
    expect(positions).toHaveLength(6);
    for (const [index, position] of positions.entries()) {
      expect(position.logprob).toBeCloseTo(choice?.logprobs?.token_logprobs[index] ?? Number.NaN, 4);
      expect(position.top).toHaveLength(4);
      expect(position.top[0]?.tokenId).toBe(position.tokenId); // greedy: the likeliest was taken
    }
  });

  it('keeps vLLM to a grammar', async () => {
    const recording = loadRecording('stream-json-schema');
    const schema = { type: 'object', properties: { answer: { type: 'integer' } }, required: ['answer'], additionalProperties: false };
    const events = await collect(invoke({ ...endpointRequest(recording), grammar: { type: 'json-schema', schema } }));
    expect(idsOf(events)).toEqual(recordedChoices(recording).flatMap((choice) => choice.token_ids));
  });

  it('scores tokens that are given', async () => {
    const { prompt } = recordedBody<{ prompt: number[][] }>(loadRecording('whole-scores'));
    const target = { endpointName: 'gpt', inferenceComponent: 'base' };
    const scores = await endpoint.score({ target, requestId: 'r', prompts: prompt, topLogprobs: 2 }, new AbortController().signal);
    const { choices } = recordedAnswer<{ choices: { prompt_logprobs: (Record<string, { logprob: number }> | null)[] }[] }>(
      loadRecording('whole-scores'),
    );
    for (const [index, positions] of scores.entries())
      for (const [at, position] of positions.entries()) {
        const id = prompt[index]?.[at] ?? -1;
        if (position !== undefined)
          expect(position.logprob).toBeCloseTo(choices[index]?.prompt_logprobs[at]?.[id]?.logprob ?? Number.NaN, 3);
      }
  });

  it('hears why vLLM refuses', async () => {
    const tooLong = await failureOf(invoke({ promptTokenIds: Array.from({ length: 1100 }, () => 504) }));
    expect(tooLong.error).toMatchObject({ name: 'EndpointRefusedError', message: expect.stringContaining('maximum context length') });
    const unknownId = await failureOf(invoke({ promptTokenIds: [49_152] }));
    expect(unknownId.error).toMatchObject({ name: 'EndpointRefusedError', message: expect.stringContaining('out of vocabulary') });
    const adapter = await failureOf(invoke({ target: { endpointName: 'gpt', adapter: 'missing' } }));
    expect(adapter.error).toMatchObject({ name: 'EndpointUnavailableError', reason: 'model-error', cause: { OriginalStatusCode: 404 } });
  });

  it('is told when the queue is full, whichever way vLLM says so', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 16 }, () =>
        collect(invoke({ maxTokens: 24, stopTokenIds: [] })).then(
          () => 'served',
          (error: { reason?: string }) => error.reason,
        ),
      ),
    );
    expect(new Set(outcomes)).toEqual(new Set(['served', 'queue-full']));
  });

  it('stops vLLM when the caller goes', async () => {
    const gone = new AbortController();
    const events = invoke(
      { maxTokens: 900, stopTokenIds: [], sampling: { temperature: 0, topP: 1, logitBias: new Map([[2, -100]]) } },
      gone.signal,
    )[Symbol.asyncIterator]();
    await events.next();
    expect(await gauge('vllm:num_requests_running')).toBe(1);
    gone.abort(new Error('gone'));
    await expect(collect({ [Symbol.asyncIterator]: () => events })).rejects.toThrow('gone');
    await expect.poll(() => gauge('vllm:num_requests_running'), { timeout: 10_000 }).toBe(0);
    const generated = await gauge('vllm:generation_tokens_total');
    await collect(invoke({ maxTokens: 1 }));
    expect(await gauge('vllm:generation_tokens_total')).toBe(generated + 1); // the one that was left made no more
  });
});
