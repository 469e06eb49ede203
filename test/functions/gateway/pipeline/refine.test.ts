import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { EndpointRefusedError } from '../../../../functions/gateway/errors.ts';
import type { EndpointEvent, EndpointRequest } from '../../../../functions/gateway/services.ts';
import type { Tokenizer } from '../../../../layers/tokenizer/index.ts';
import { answerPipelines, catalog } from '../../../../models/catalog.ts';
import { createTestGateway, readEvents } from '../../../support/gateway.ts';
import { ScriptedEndpoint, untilAborted } from '../../../support/scripted-endpoint.ts';
import { loadModelTokenizer, MODEL, says } from '../../../support/scripted-model.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadModelTokenizer();
});

const [refined] = answerPipelines;
const ask = { model: 'gpt-refined', messages: [{ role: 'user', content: 'Why is the sky blue?' }], max_tokens: 200 };
type Script = (request: EndpointRequest, call: number) => AsyncIterable<EndpointEvent> | Iterable<EndpointEvent>;

async function answer(script: Script, body: object = {}, environment: Record<string, string> = {}) {
  const endpoint = new ScriptedEndpoint(script);
  const gateway = await createTestGateway(endpoint, environment);
  const response = await gateway.post('/v1/chat/completions', { ...ask, ...body });
  const whole = (await response.json()) as {
    model: string;
    choices: { message: { content: string; reasoning_content?: string }; finish_reason: string }[];
    usage: { prompt_tokens: number; completion_tokens: number; completion_tokens_details: { reasoning_tokens: number } };
    error?: unknown;
  };
  return { ...gateway, endpoint, status: response.status, whole, choice: whole.choices?.[0] };
}

/** The catalog with a pipeline of the test's own. */
function withPipeline(changes: object): Record<string, string> {
  const path = join(tmpdir(), `penstock-pipeline-${process.pid}.json`);
  writeFileSync(path, JSON.stringify([...catalog, { ...refined, ...changes }]));
  return { PENSTOCK_CATALOG: path };
}

const stages = ['A draft.', 'Too short.', 'The final answer.'];
const speaks: Script = (_, call) => says(tokenizer, stages[call] ?? '');

describe('draft and refine', () => {
  it('answers with the last stage, shows the others as thoughts, and sums the usage of all', async () => {
    const { whole, choice, endpoint } = await answer(speaks);
    expect(whole.model).toBe('gpt-refined');
    expect(choice?.message.content).toBe('The final answer.');
    expect(choice?.message.reasoning_content).toBe('A draft.\n\nToo short.\n\n');
    expect(choice?.finish_reason).toBe('stop');
    const prompts = endpoint.requests.reduce((sum, request) => sum + request.promptTokenIds.length, 0);
    const completions = stages.reduce((sum, text) => sum + tokenizer.encode(text).length + 1, 0);
    expect(whole.usage).toMatchObject({ prompt_tokens: prompts, completion_tokens: completions });
    // Each stage's end token is its own.
    const thoughts = stages.slice(0, 2).reduce((sum, text) => sum + tokenizer.encode(text).length + 1, 0);
    expect(whole.usage.completion_tokens_details.reasoning_tokens).toBe(thoughts);
  });

  it('continues from the very ids of each turn, so that the prefix cache has them', async () => {
    // Not the ids that an encoder would make of the same text.
    const odd: EndpointEvent[] = [...'draft'].map((letter) => ({ type: 'tokens', tokenIds: [tokenizer.encode(letter)[0] ?? 0] }));
    const { endpoint } = await answer((request, call) =>
      call === 0 ? [...odd, { type: 'tokens', tokenIds: [2] }, { type: 'end', finishReason: 'stop' }] : speaks(request, call),
    );
    const [first, second, third] = endpoint.requests.map((request) => [...request.promptTokenIds]);
    const draft = odd.flatMap((event) => (event.type === 'tokens' ? event.tokenIds : []));
    expect(second?.slice(0, (first?.length ?? 0) + draft.length)).toEqual([...(first ?? []), ...draft]);
    expect(third?.slice(0, second?.length)).toEqual(second);
    expect(tokenizer.decode(second ?? [])).toMatch(
      /assistant\ndraft<\|im_end\|>\n<\|im_start\|>user\n.+<\|im_end\|>\n<\|im_start\|>assistant\n$/s,
    );
  });

  it('streams the last stage as it comes', async () => {
    const { post } = await createTestGateway(new ScriptedEndpoint(speaks));
    const events = await readEvents(await post('/v1/chat/completions', { ...ask, stream: true, stream_options: { include_usage: true } }));
    const chunks = events.filter((event) => event !== '[DONE]') as { choices: { delta: { content?: string } }[] }[];
    const pieces = chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').filter((piece) => piece !== '');
    expect(pieces.join('')).toBe('The final answer.');
    expect(pieces.length).toBeGreaterThan(2);
  });

  it('keeps to one budget over all stages', async () => {
    const endless: Script = ({ maxTokens }) => [
      ...Array.from({ length: maxTokens }, (): EndpointEvent => ({ type: 'tokens', tokenIds: [tokenizer.encode(' word')[0] ?? 0] })),
      { type: 'end', finishReason: 'length' },
    ];
    for (const max_tokens of [32, 57, 200]) {
      const { whole, choice, endpoint } = await answer(endless, { max_tokens });
      expect(endpoint.requests).toHaveLength(3);
      expect(whole.usage.completion_tokens).toBe(max_tokens);
      expect(choice?.finish_reason).toBe('length');
    }
  });

  it('answers with the draft when a stage fails, and says so in the log', async () => {
    const { choice, whole, logged } = await answer((request, call) => {
      if (call > 0) throw new EndpointRefusedError('No.');
      return speaks(request, call);
    });
    expect(choice?.message.content).toBe('A draft.');
    expect(whole.usage.completion_tokens_details.reasoning_tokens).toBe(0); // what was a thought is the answer
    expect(logged).toContainEqual(expect.objectContaining({ event: 'stage-failed' }));
  });

  it('answers with the draft when the last stage says nothing', async () => {
    const { choice } = await answer((request, call) => (call === 2 ? says(tokenizer, '') : speaks(request, call)));
    expect(choice?.message.content).toBe('A draft.');
  });

  it('answers with the best so far when a stage takes too long, stops the endpoint, and counts what it used', async () => {
    const slow = withPipeline({ stages: refined?.stages.map((stage) => ({ ...stage, timeoutSeconds: 0.05 })) });
    const endpoint = new ScriptedEndpoint(async function* (_, call) {
      if (call === 0) yield* says(tokenizer, 'A draft.');
      else await untilAborted(endpoint.signals[call] ?? AbortSignal.abort());
    });
    const { post } = await createTestGateway(endpoint, slow);
    const whole = (await (await post('/v1/chat/completions', ask)).json()) as Awaited<ReturnType<typeof answer>>['whole'];
    expect(whole.choices[0]?.message.content).toBe('A draft.');
    expect(endpoint.signals.at(-1)?.aborted).toBe(true);
    expect(whole.usage.completion_tokens).toBe(tokenizer.encode('A draft.').length + 1);
  });

  it('ends an answer whose time is up where it is', async () => {
    const slow = withPipeline({ stages: refined?.stages.map((stage) => ({ ...stage, timeoutSeconds: 0.2 })) });
    const endpoint = new ScriptedEndpoint(async function* (_, call) {
      if (call < 2) return yield* says(tokenizer, stages[call] ?? '');
      yield* says(tokenizer, 'The beginning').slice(0, -2);
      await untilAborted(endpoint.signals[call] ?? AbortSignal.abort());
    });
    const { post } = await createTestGateway(endpoint, slow);
    const whole = (await (await post('/v1/chat/completions', ask)).json()) as Awaited<ReturnType<typeof answer>>['whole'];
    expect(whole.choices[0]).toMatchObject({ message: { content: 'The beginning' }, finish_reason: 'length' });
  });

  it('hides its stages when the catalog says so', async () => {
    const { choice } = await answer(speaks, {}, withPipeline({ showStages: false }));
    expect(choice?.message).toEqual({ role: 'assistant', content: 'The final answer.', refusal: null, annotations: [] });
  });

  it('answers at once where there is nothing to refine: tools, a constrained form, a handful of tokens', async () => {
    for (const body of [{ max_tokens: 10 }, { response_format: { type: 'json_object' } }]) {
      const { endpoint } = await answer(() => says(tokenizer, '{}'), body);
      expect(endpoint.requests).toHaveLength(1);
      expect(endpoint.requests[0]?.maxTokens).toBe(body.max_tokens ?? 200);
    }
  });

  it('works through Responses, with the stages as a reasoning item', async () => {
    const { post } = await createTestGateway(new ScriptedEndpoint(speaks));
    const response = (await (await post('/v1/responses', { model: 'gpt-refined', input: 'Why?' })).json()) as {
      output: { type: string }[];
    };
    expect(response.output.map((item) => item.type)).toEqual(['reasoning', 'message']);
  });

  it.each([
    [{ n: 2 }, 'n'],
    [{ max_tokens: 100_000 }, 'max_tokens'],
  ])('refuses %j', async (body, param) => {
    const { status, whole } = await answer(speaks, body);
    expect(status).toBe(400);
    expect(whole.error).toMatchObject({ param });
  });

  it('is among the models, and leaves the model that it works with as it is', async () => {
    const { endpoint } = await answer(speaks, { model: MODEL });
    expect(endpoint.requests).toHaveLength(1);
  });
});
