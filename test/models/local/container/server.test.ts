import { EventSourceParserStream } from 'eventsource-parser/stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CompletionAnswer, CompletionChunk, InvocationErrorBody } from '../../../../models/invocation.ts';
import { startTinyContainer, type TinyContainer } from '../../../support/tiny-container.ts';

const PROMPT = [257, 72, 101, 108, 108, 111];
const GREEDY = { prompt: PROMPT, temperature: 0, return_token_ids: true, ignore_eos: true };

type StreamEvent = CompletionChunk | InvocationErrorBody | '[DONE]';

async function readEvents(response: Response): Promise<StreamEvent[]> {
  const events: StreamEvent[] = [];
  if (response.body === null) return events;
  const parsed = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream());
  for await (const { data } of parsed) events.push(data === '[DONE]' ? data : (JSON.parse(data) as StreamEvent)); // our own wire
  return events;
}

const chunksOf = (events: readonly StreamEvent[]): CompletionChunk[] =>
  events.filter((event): event is CompletionChunk => event !== '[DONE]' && 'choices' in event);
const idsOf = (chunks: readonly CompletionChunk[], index = 0): number[] =>
  chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index).flatMap((choice) => choice.token_ids ?? []));

describe('POST /invocations', () => {
  let container: TinyContainer;
  beforeAll(async () => {
    container = await startTinyContainer();
  });
  afterAll(() => container[Symbol.asyncDispose]());

  const complete = async (body: unknown, headers: Record<string, string> = {}) => {
    const response = await container.invoke(body, { headers });
    return { status: response.status, answer: (await response.json()) as CompletionAnswer & InvocationErrorBody }; // either, by the status
  };
  const stream = async (body: object) => readEvents(await container.invoke({ ...body, stream: true }));

  it('answers whole with the keys that vLLM answers with', async () => {
    const { status, answer } = await complete({ ...GREEDY, max_tokens: 5 });
    expect(status).toBe(200);
    expect(answer).toMatchObject({
      id: expect.stringMatching(/^cmpl-[0-9a-f]{16}$/),
      object: 'text_completion',
      model: 'tiny',
      choices: [{ index: 0, logprobs: null, finish_reason: 'length', stop_reason: null, prompt_token_ids: PROMPT, prompt_logprobs: null }],
      usage: { prompt_tokens: 6, total_tokens: 11, completion_tokens: 5 },
    });
    expect(answer.choices[0]?.token_ids).toHaveLength(5);
  });

  it('streams the same ids, the prompt ids in the first chunk only, and [DONE]', async () => {
    const { answer } = await complete({ ...GREEDY, max_tokens: 8 });
    const events = await stream({ ...GREEDY, max_tokens: 8 });
    expect(events.at(-1)).toBe('[DONE]');
    const chunks = chunksOf(events);
    expect(idsOf(chunks)).toEqual(answer.choices[0]?.token_ids);
    expect(chunks.map(({ choices }) => choices[0]?.prompt_token_ids)).toEqual([PROMPT, ...new Array(7).fill(null)]);
    expect(chunks.map(({ choices }) => choices[0]?.text).join('')).toBe(answer.choices[0]?.text);
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason)).toEqual([...new Array(7).fill(null), 'length']);
    expect(chunks.every((chunk) => !('usage' in chunk) && !('system_fingerprint' in chunk))).toBe(true);
  });

  it('is event-stream in UTF-8', async () => {
    const response = await container.invoke({ ...GREEDY, max_tokens: 1, stream: true });
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    await response.text();
  });

  it('sends usage last when it is asked for, and in every chunk when that is asked for', async () => {
    const last = chunksOf(await stream({ ...GREEDY, max_tokens: 3, stream_options: { include_usage: true } }));
    expect(last.map(({ usage }) => usage?.completion_tokens)).toEqual([undefined, undefined, undefined, 3]);
    expect(last.at(-1)).toMatchObject({ choices: [], system_fingerprint: expect.any(String) });
    const each = chunksOf(
      await stream({ ...GREEDY, max_tokens: 3, stream_options: { include_usage: true, continuous_usage_stats: true } }),
    );
    expect(each.map(({ usage }) => usage?.completion_tokens)).toEqual([1, 2, 3, 3]);
  });

  it('counts and shows the id that ends the text, and not its text', async () => {
    const { answer } = await complete({ ...GREEDY, ignore_eos: false, max_tokens: 50, logit_bias: { 258: 100 } });
    expect(answer.choices[0]).toMatchObject({ text: '', finish_reason: 'stop', stop_reason: null, token_ids: [258] });
    expect(answer.usage.completion_tokens).toBe(1);
  });

  it('runs on past the end of sequence with ignore_eos, and keeps it back for min_tokens', async () => {
    const on = await complete({ ...GREEDY, max_tokens: 3, logit_bias: { 258: 100 } });
    expect(on.answer.choices[0]).toMatchObject({ text: '', finish_reason: 'length', token_ids: [258, 258, 258] });
    const least = await complete({ ...GREEDY, ignore_eos: false, min_tokens: 3, max_tokens: 9, logit_bias: { 258: 100 } });
    expect(least.answer.choices[0]?.token_ids).toHaveLength(4);
    expect(least.answer.choices[0]?.token_ids?.indexOf(258)).toBe(3);
  });

  it('ends at a stop token: its id is kept, its text is not, and it is the stop reason', async () => {
    const { answer } = await complete({ ...GREEDY, max_tokens: 20 });
    const ids = answer.choices[0]?.token_ids ?? [];
    const stopAt = 3;
    const stop = ids[stopAt] ?? -1;
    const { answer: stopped } = await complete({ ...GREEDY, max_tokens: 20, stop_token_ids: [stop] });
    expect(stopped.choices[0]).toMatchObject({ finish_reason: 'stop', stop_reason: stop, token_ids: ids.slice(0, ids.indexOf(stop) + 1) });
  });

  it('ends at a stop string over several tokens, with text that lags behind the ids', async () => {
    const biased = { ...GREEDY, max_tokens: 12, allowed_token_ids: [65, 66], frequency_penalty: 2, presence_penalty: 2 };
    const { answer } = await complete(biased);
    const text = answer.choices[0]?.text ?? '';
    expect(text).toMatch(/^[AB]{12}$/);
    const stop = text.slice(3, 6);
    const expected = text.slice(0, text.indexOf(stop));
    const chunks = chunksOf(await stream({ ...biased, stop: [stop] }));
    expect(chunks.map(({ choices }) => choices[0]?.text).join('')).toBe(expected);
    expect(chunks.at(-1)?.choices[0]).toMatchObject({ finish_reason: 'stop', stop_reason: stop });
    expect(idsOf(chunks)).toHaveLength(expected.length + 3);
    const { answer: included } = await complete({ ...biased, stop, include_stop_str_in_output: true });
    expect(included.choices[0]?.text).toBe(expected + stop);
  });

  it('gives log-probabilities that are those of a distribution', async () => {
    const { answer } = await complete({ ...GREEDY, max_tokens: 4, logprobs: 3, return_tokens_as_token_ids: true });
    const logprobs = answer.choices[0]?.logprobs;
    expect(logprobs?.tokens).toEqual(answer.choices[0]?.token_ids?.map((id) => `token_id:${id}`));
    for (const [i, top] of (logprobs?.top_logprobs ?? []).entries()) {
      const values = Object.values(top ?? {});
      expect(values).toHaveLength(3);
      expect(Math.max(...values)).toBe(logprobs?.token_logprobs[i]); // greedy takes the likeliest
      expect(values.reduce((sum, value) => sum + Math.exp(value), 0)).toBeLessThan(1);
    }
  });

  it('scores a prompt with echo and max_tokens 0 as the generation scored it', async () => {
    const { answer } = await complete({ ...GREEDY, max_tokens: 4, logprobs: 0 });
    const [choice] = answer.choices;
    const prompt = [...PROMPT, ...(choice?.token_ids ?? [])];
    const { answer: scored } = await complete({ prompt, echo: true, max_tokens: 0, logprobs: 0, temperature: 0, prompt_logprobs: 1 });
    const logprobs = scored.choices[0]?.logprobs?.token_logprobs ?? [];
    expect(logprobs[0]).toBeNull();
    expect(logprobs).toHaveLength(prompt.length);
    for (const [i, logprob] of (choice?.logprobs?.token_logprobs ?? []).entries())
      expect(logprobs[PROMPT.length + i]).toBeCloseTo(logprob ?? 0, 1);
    expect(scored.choices[0]?.prompt_logprobs?.[0]).toBeNull();
    expect(Object.keys(scored.choices[0]?.prompt_logprobs?.[1] ?? {})).toContain(String(PROMPT[1]));
  });

  it('interleaves n choices, each its own seed', async () => {
    const sampled = { ...GREEDY, temperature: 1, max_tokens: 6 };
    const chunks = chunksOf(await stream({ ...sampled, seed: 7, n: 2 }));
    const { answer: second } = await complete({ ...sampled, seed: 8 });
    expect(idsOf(chunks, 1)).toEqual(second.choices[0]?.token_ids);
    expect(chunks.filter(({ choices }) => choices[0]?.prompt_token_ids !== null)).toHaveLength(2);
    const { answer: whole } = await complete({ ...sampled, seed: 7, n: 2 });
    expect(whole.choices.map(({ token_ids }) => token_ids)).toEqual([idsOf(chunks, 0), idsOf(chunks, 1)]);
    expect(whole.usage).toMatchObject({ prompt_tokens: 6, completion_tokens: 12 });
  });

  it('returns the likeliest of best_of candidates and counts them all', async () => {
    const sampled = { ...GREEDY, temperature: 1.5, max_tokens: 6, seed: 20 };
    const { answer: all } = await complete({ ...sampled, n: 5, logprobs: 0 });
    const mean = (values: readonly (number | null)[] = []) => values.reduce<number>((sum, value) => sum + (value ?? 0), 0) / values.length;
    const ranked = all.choices.toSorted((a, b) => mean(b.logprobs?.token_logprobs) - mean(a.logprobs?.token_logprobs));
    const { answer } = await complete({ ...sampled, n: 2, best_of: 5 });
    expect(answer.choices.map(({ token_ids }) => token_ids)).toEqual(ranked.slice(0, 2).map(({ token_ids }) => token_ids));
    expect(answer.choices.map(({ index, logprobs }) => [index, logprobs])).toEqual([
      [0, null],
      [1, null],
    ]);
    expect(answer.usage.completion_tokens).toBe(30);
    expect((await complete({ ...sampled, n: 2, best_of: 1 })).status).toBe(400);
    expect((await complete({ ...sampled, n: 1, best_of: 2, stream: true })).status).toBe(400);
  });

  it('continues a sampled answer exactly from its prompt and emitted ids', async () => {
    const sampled = { ...GREEDY, temperature: 1, top_p: 0.95, seed: 42, max_tokens: 24 };
    const { answer } = await complete(sampled);
    const ids = answer.choices[0]?.token_ids ?? [];
    for (const cut of [1, 7, 17]) {
      const { answer: rest } = await complete({ ...sampled, prompt: [...PROMPT, ...ids.slice(0, cut)], max_tokens: 24 - cut });
      expect(rest.choices[0]?.token_ids).toEqual(ids.slice(cut));
    }
  });

  it('answers the same alone and among others', async () => {
    const bodies = Array.from({ length: 10 }, (_, i) => ({
      ...GREEDY,
      prompt: PROMPT.slice(0, 2 + (i % 5)),
      temperature: i % 2,
      seed: i,
      max_tokens: 5 + i,
    }));
    const together = await Promise.all(bodies.map((body) => complete(body)));
    for (const [i, body] of bodies.entries()) {
      const { answer } = await complete(body);
      expect(answer.choices[0]?.token_ids).toEqual(together[i]?.answer.choices[0]?.token_ids);
    }
  });

  it('takes several prompts, and texts', async () => {
    const { answer } = await complete({ ...GREEDY, prompt: [PROMPT, [72, 105]], max_tokens: 2 });
    expect(answer.choices.map(({ index, prompt_token_ids }) => [index, prompt_token_ids])).toEqual([
      [0, PROMPT],
      [1, [72, 105]],
    ]);
    expect(answer.usage.prompt_tokens).toBe(8);
    const { answer: text } = await complete({ ...GREEDY, prompt: 'Hi<|im_end|>', max_tokens: 1 });
    expect(text.choices[0]?.prompt_token_ids).not.toContain(258); // typed text is never a control token
  });

  it('computes a known beginning once: same ids, shown in usage and metrics, apart for each salt', async () => {
    const prompt = Array.from({ length: 200 }, (_, i) => (i * 7) % 256);
    const body = { ...GREEDY, prompt, max_tokens: 8 };
    const cachedTokens = async (more: object) => {
      const { answer } = await complete({ ...body, ...more });
      return [answer.usage.prompt_tokens_details?.cached_tokens, answer.choices[0]?.token_ids];
    };
    const [first, ids] = await cachedTokens({});
    expect(first).toBe(0);
    expect(await cachedTokens({})).toEqual([192, ids]);
    expect(await cachedTokens({ cache_salt: 'tenant' })).toEqual([0, ids]);
    expect(await cachedTokens({ cache_salt: 'tenant' })).toEqual([192, ids]);
    expect((await cachedTokens({ prompt: [...prompt.slice(0, 100), 1, 2, 3] }))[0]).toBe(64);
    const both = await Promise.all([cachedTokens({ cache_salt: 'pair' }), cachedTokens({ cache_salt: 'pair' })]);
    expect(both.map(([, pairIds]) => pairIds)).toEqual([ids, ids]);
    const metrics = await (await fetch(`${container.url}/metrics`)).text();
    expect(metrics).toMatch(/^vllm:prefix_cache_hits_total\{model_name="tiny"\} [1-9]\d*$/m);
  });

  it('guesses what was there before, streams what was right in fewer chunks than tokens, and counts it', async () => {
    const response = await container.invoke({ ...GREEDY, prompt: [257, 72], logit_bias: { 72: 100 }, max_tokens: 50, stream: true });
    const chunks = (await response.text()).match(/"token_ids":\[[\d,]+\]/g) ?? [];
    expect(chunks.flatMap((chunk) => chunk.match(/\b72\b/g) ?? [])).toHaveLength(50);
    expect(chunks.length).toBeLessThan(50);
    const metrics = await (await fetch(`${container.url}/metrics`)).text();
    const counted = (what: string) =>
      Number(new RegExp(`^vllm:spec_decode_num_${what}_total\\{model_name="tiny"\\} (\\d+)$`, 'm').exec(metrics)?.[1]);
    expect(counted('drafts')).toBeGreaterThan(0);
    expect(counted('accepted_tokens')).toBeGreaterThanOrEqual(50 - chunks.length);
    expect(counted('draft_tokens')).toBeGreaterThanOrEqual(counted('accepted_tokens'));
  });

  it('clamps max_tokens to the room that is left, in silence', async () => {
    const { answer } = await complete({ ...GREEDY, prompt: new Array(250).fill(65), max_tokens: 100 });
    expect(answer).toMatchObject({ choices: [{ finish_reason: 'length' }], usage: { completion_tokens: 6, total_tokens: 256 } });
  });

  it('names an answer after the request id', async () => {
    expect((await complete({ ...GREEDY, max_tokens: 1 }, { 'x-request-id': 'edge-123' })).answer.id).toBe('cmpl-edge-123');
    expect((await complete({ ...GREEDY, max_tokens: 1, request_id: 'body-1' })).answer.id).toBe('cmpl-body-1');
  });

  it('picks the model by the adapter header and ignores the body, as vLLM does', async () => {
    expect((await complete({ ...GREEDY, max_tokens: 1, model: 'nope' })).status).toBe(200);
    const { status, answer } = await complete({ ...GREEDY, max_tokens: 1 }, { 'x-amzn-sagemaker-adapter-identifier': 'nope' });
    expect([status, answer.error]).toEqual([
      404,
      { message: 'The model `nope` does not exist.', type: 'NotFoundError', param: 'model', code: 404 },
    ]);
  });

  it.each([
    ['a prompt over the context', { prompt: new Array(257).fill(65) }, 'input_tokens', /maximum context length is 256 tokens/],
    ['a prompt that leaves no room', { prompt: new Array(256).fill(65) }, 'max_tokens', /^max_tokens must be at least 1, got 0\.$/],
    ['an unknown id', { prompt: [260] }, 'prompt', /^Token id 260 is out of vocabulary$/],
    ['an empty prompt', { prompt: [] }, 'prompt', /^You must pass at least one prompt$/],
    ['several greedy choices', { prompt: [65], temperature: 0, n: 2 }, 'n', /^n must be 1 when using greedy sampling, got 2\.$/],
    ['21 log-probabilities', { prompt: [65], logprobs: 21 }, 'logprobs', /./],
    ['an empty cache salt', { prompt: [65], cache_salt: '' }, 'cache_salt', /./],
    ['prompt log-probabilities in a stream', { prompt: [65], prompt_logprobs: 1, stream: true }, 'prompt_logprobs', /./],
  ])('refuses %s before anything is streamed', async (_, body, param, message) => {
    const { status, answer } = await complete({ ...body, stream: 'stream' in body });
    expect(status).toBe(400);
    expect(answer.error).toMatchObject({ code: 400, param, message: expect.stringMatching(message) });
  });

  it('refuses other content types and bad JSON with 400', async () => {
    const text = await complete({ ...GREEDY }, { 'content-type': 'text/plain' });
    expect([text.status, text.answer.error.code]).toEqual([400, 400]);
    const broken = await complete('{"prompt": "do not repeat me"');
    expect(broken.answer.error).toMatchObject({ code: 400, type: 'Bad Request', message: expect.stringContaining('JSON decode error') });
    expect(JSON.stringify(broken.answer)).not.toContain('repeat me');
  });

  it('refuses a body over 32 MiB with 413, with and without a length', async () => {
    const part = new Uint8Array(1 << 20).fill(32);
    const headers = { 'content-type': 'application/json' };
    const send = (body: Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>, more: object = {}) =>
      fetch(`${container.url}/invocations`, { method: 'POST', headers, body, ...more });
    const whole = await send(new Uint8Array(33 << 20)).then(
      (response) => response.status,
      () => 'cut', // the client may still be sending when the connection ends
    );
    expect([413, 'cut']).toContain(whole);
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        sent++;
        if (sent > 64) controller.close();
        else controller.enqueue(part);
      },
    });
    const streamed = await send(endless, { duplex: 'half' }).then(
      (response) => response.status,
      () => 'cut',
    );
    expect([413, 'cut']).toContain(streamed);
    expect((await complete({ ...GREEDY, max_tokens: 1 })).status).toBe(200);
  });

  it('refuses sessions, which it does not keep', async () => {
    expect((await complete({ ...GREEDY }, { 'x-amzn-sagemaker-session-id': 'one' })).status).toBe(400);
  });

  it('answers /ping, /metrics, and 404 and 405 elsewhere', async () => {
    expect((await fetch(`${container.url}/ping`)).status).toBe(200);
    expect((await fetch(`${container.url}/nowhere`)).status).toBe(404);
    expect((await fetch(`${container.url}/invocations`)).status).toBe(405);
    await complete({ ...GREEDY, max_tokens: 4 });
    const metrics = await (await fetch(`${container.url}/metrics`)).text();
    expect(metrics).toMatch(/^vllm:num_requests_running\{model_name="tiny"\} \d+$/m);
    expect(metrics).toMatch(/^penstock:event_loop_delay_max_seconds\{model_name="tiny"\} \d/m);
    expect(metrics).toMatch(/^vllm:generation_tokens_total\{model_name="tiny"\} [1-9]\d*$/m);
    expect(metrics).toMatch(/^vllm:time_to_first_token_seconds_bucket\{model_name="tiny",le="\+Inf"\} [1-9]\d*$/m);
  });

  it('logs no text', async () => {
    const secret = 'canary-5f1c';
    await complete({ prompt: secret, max_tokens: 1, stop: secret });
    await complete({ prompt: [secret], max_tokens: secret });
    expect(container.logLines.length).toBeGreaterThan(0);
    expect(container.logLines.join('\n')).not.toContain(secret);
  });
});

describe('a container under load', () => {
  it('refuses in a 200 stream, or with 503, when its queue is full, and works again afterwards', async () => {
    await using container = await startTinyContainer({ slots: 1, maxQueue: 1 });
    const body = { ...GREEDY, max_tokens: 200 };
    const responses = await Promise.all(Array.from({ length: 6 }, (_, i) => container.invoke({ ...body, stream: i % 2 === 0 })));
    const outcomes = await Promise.all(
      responses.map(async (response) => {
        if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response.status;
        expect(response.status).toBe(200);
        const events = await readEvents(response);
        expect(events.at(-1)).toBe('[DONE]');
        const [first] = events;
        return first !== '[DONE]' && first !== undefined && 'error' in first ? first.error.code : 200;
      }),
    );
    expect(outcomes.toSorted()).toEqual([200, 200, 503, 503, 503, 503]);
    expect((await container.invoke({ ...body, max_tokens: 1 })).status).toBe(200);
    const metrics = await (await fetch(`${container.url}/metrics`)).text();
    expect(metrics).toContain('vllm:admission_rejections_total{model_name="tiny",reason="queue-full"} 4');
  });

  it('stops generating for callers that are gone and frees their slots', async () => {
    await using container = await startTinyContainer({ slots: 2, maxQueue: 100 });
    const body = { ...GREEDY, max_tokens: 240 };
    await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        const leave = new AbortController();
        const response = await container.invoke({ ...body, stream: i % 3 !== 0 }, { signal: leave.signal }).catch(() => undefined);
        const reader = response?.body?.getReader();
        for (let chunks = 0; chunks < i % 5; chunks++) await reader?.read();
        leave.abort();
      }),
    );
    await expect.poll(() => container.engine.status, { timeout: 20_000 }).toMatchObject({ running: 0, waiting: 0, kvUsage: 0 });
    expect((await container.invoke({ ...body, max_tokens: 3 })).status).toBe(200);
  });
});
