import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import type { EndpointEvent } from '../../../../functions/gateway/services.ts';
import type { Tokenizer } from '../../../../layers/tokenizer/index.ts';
import { catalog } from '../../../../models/catalog.ts';
import { createTestGateway, readEvents } from '../../../support/gateway.ts';
import { ScriptedEndpoint } from '../../../support/scripted-endpoint.ts';
import { loadModelTokenizer, MODEL } from '../../../support/scripted-model.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadModelTokenizer();
});

interface Usage {
  readonly completion_tokens: number;
  readonly completion_tokens_details: { readonly reasoning_tokens: number };
}

/** A catalog whose model thinks, its endpoint saying these ids in pieces of these sizes, and its own end after them. */
async function createThinker(ids: readonly number[], sizes: readonly number[], reasoning: 'think' | 'think-open' = 'think') {
  const file = join(tmpdir(), `penstock-thinker-${process.pid}.json`);
  writeFileSync(file, JSON.stringify(catalog.map((served) => ({ ...served, output: { ...served.output, reasoning } }))));
  function* script(): Generator<EndpointEvent> {
    let at = 0;
    for (const size of sizes) {
      const tokenIds = ids.slice(at, at + size);
      at += size;
      if (tokenIds.length > 0) yield { type: 'tokens', tokenIds };
    }
    if (at < ids.length) yield { type: 'tokens', tokenIds: ids.slice(at) };
    yield { type: 'end', finishReason: 'length' };
  }
  return await createTestGateway(new ScriptedEndpoint(script), { PENSTOCK_CATALOG: file });
}

const ask = { model: MODEL, messages: [{ role: 'user', content: 'What is 2 + 2?' }] };

/** Tokens that begin before the end of the thoughts, counted on what all ids before them say. */
function countBefore(ids: readonly number[], end: number): number {
  return ids.filter((_, index) => tokenizer.decode(ids.slice(0, index)).length < end).length;
}

const CLOSE = '</think>';
const thinking = '<think>\nTwo and two: that is four.\n</think>\n\nIt is 4.';

describe('reasoning tokens', () => {
  it.each([
    ['thoughts', thinking, 'think', thinking.indexOf(CLOSE) + CLOSE.length],
    ['empty thoughts', '<think>\n\n</think>\n\nIt is 4.', 'think', '<think>\n\n</think>'.length],
    ['thoughts whose tag stands in the prompt', 'Four, I think.</think>It is 4.', 'think-open', 'Four, I think.</think>'.length],
    ['no thoughts', 'It is 4. </think>', 'think', 0],
    ['thoughts that never end', '<think>Two and two, hm', 'think', Number.POSITIVE_INFINITY],
    ['what only begins like a tag', '<thin ice>', 'think', 0],
  ] as const)('are those of the answer until its thoughts end: %s', async (_, text, reasoning, end) => {
    const ids = tokenizer.encode(text);
    const { post } = await createThinker([...ids], [1, 1, 1], reasoning);
    const { usage } = (await (await post('/v1/chat/completions', ask)).json()) as { usage: Usage };
    expect(usage.completion_tokens).toBe(ids.length);
    expect(usage.completion_tokens_details.reasoning_tokens).toBe(countBefore([...ids], end));
  });

  it('are the same however the endpoint cuts its stream, whole, streamed and as a response', async () => {
    const ids = [...tokenizer.encode(thinking)];
    const expected = countBefore(ids, thinking.indexOf(CLOSE) + CLOSE.length);
    expect(expected).toBeGreaterThan(5);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 12 }), async (sizes) => {
        const { post } = await createThinker(ids, sizes);
        const whole = (await (await post('/v1/chat/completions', ask)).json()) as { usage: Usage };
        expect(whole.usage.completion_tokens_details.reasoning_tokens).toBe(expected);
        const streamed = await readEvents(
          await post('/v1/chat/completions', { ...ask, stream: true, stream_options: { include_usage: true } }),
        );
        expect((streamed.at(-2) as { usage: Usage }).usage).toEqual(whole.usage);
        const response = (await (await post('/v1/responses', { model: MODEL, input: 'What is 2 + 2?' })).json()) as {
          usage: { output_tokens_details: { reasoning_tokens: number } };
        };
        expect(response.usage.output_tokens_details.reasoning_tokens).toBe(expected);
      }),
      { numRuns: 15 },
    );
  });
});
