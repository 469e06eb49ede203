import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { createFolderTokenizerFiles } from '../../../../functions/drivers/folder-tokenizer-files.ts';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { loadConfig } from '../../../../functions/gateway/config.ts';
import { loadServedModels } from '../../../../functions/gateway/served-models.ts';
import type { EndpointEvent, EndpointRequest } from '../../../../functions/gateway/services.ts';
import type { Tokenizer } from '../../../../layers/tokenizer/index.ts';
import { createGenerationGateway, MODEL } from '../../../support/generation-gateway.ts';
import { createMortalTable } from '../../../support/mortal-table.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const STOP_TOKEN = 2;

/** A model that writes one text after whatever prompt it was asked first, from wherever it is asked to go on; it may stand still at a token. */
class WritingEndpoint extends ToyEndpoint {
  readonly #ids: readonly number[];
  readonly #promptLength: { known: number | undefined };
  readonly #stopAt: number;
  readonly #reached = Promise.withResolvers<void>();

  constructor(ids: readonly number[], promptLength: { known: number | undefined }, stopAt = Number.POSITIVE_INFINITY) {
    super();
    this.#ids = ids;
    this.#promptLength = promptLength;
    this.#stopAt = stopAt;
  }

  /** It stands still. */
  get reached(): Promise<void> {
    return this.#reached.promise;
  }

  override async *invoke(request: EndpointRequest, signal: AbortSignal): AsyncGenerator<EndpointEvent> {
    this.requests.push(request);
    this.#promptLength.known ??= request.promptTokenIds.length;
    const first = request.promptTokenIds.length - this.#promptLength.known;
    for (let at = first; at < this.#ids.length; at += 1) {
      await sleep(1);
      signal.throwIfAborted();
      if (at === this.#stopAt) {
        this.#reached.resolve();
        await new Promise(() => undefined);
      }
      yield { type: 'tokens', tokenIds: [this.#ids[at] ?? STOP_TOKEN] };
    }
    yield { type: 'end', finishReason: 'stop' };
  }
}

let tokenizer: Tokenizer;
beforeAll(async () => {
  const { catalog, tokenizersFolder } = loadConfig({ PENSTOCK_API_KEY_HASHES: '0'.repeat(64) });
  const model = (await loadServedModels(catalog, createFolderTokenizerFiles(tokenizersFolder))).get(MODEL);
  if (model === undefined) throw new Error('the model is in the catalog');
  tokenizer = model.tokenizer;
});

async function readUntil(response: Response, count: number): Promise<string> {
  const reader = response.body?.getReader();
  let text = '';
  while ((text.match(/^id: /gm) ?? []).length < count) {
    const read = await Promise.race([reader?.read(), sleep(100)]); // a call in the making shows nothing for a while
    if (read?.value === undefined) break;
    text += Buffer.from(read.value).toString();
  }
  return text;
}

/** The answer to one request, whose gateway is killed at every token in turn, as the client sees it that comes back. */
async function killAtEveryToken(
  path: string,
  body: object,
  text: string,
  compare: (bytes: string, killedAt: number) => void,
): Promise<void> {
  const ids = [...tokenizer.encode(text), STOP_TOKEN];
  let killed = 0;
  for (let stopAt = 1; stopAt < ids.length; stopAt += 1) {
    const clock = { at: Date.now(), now: () => clock.at };
    const shared = createMemoryTable(clock);
    const life = createMortalTable(shared);
    const promptLength = { known: undefined };
    const still = new WritingEndpoint(ids, promptLength, stopAt);
    const dying = await createGenerationGateway(still, { table: life.table, clock });
    const headers = { 'x-penstock-lease': '600' };
    const answered = dying.call('POST', path, { body: { model: MODEL, stream: true, ...body }, headers });
    // Until there is something to show, the client has no answer to come back to.
    await still.reached;
    const response = await Promise.race([answered, sleep(100)]);
    if (response === undefined) continue;
    killed += 1;
    const id = response.headers.get('x-penstock-generation') ?? '';
    const seen = await readUntil(response, 1 + (stopAt % 3)); // how much the client has read by then differs
    await sleep(15);
    life.kill();
    clock.at += 20_000;
    const other = await createGenerationGateway(new WritingEndpoint(ids, promptLength), { table: shared, clock });
    const last = (seen.match(/^id: /gm) ?? []).length;
    const rest = await (await other.call('GET', `/v1/generations/${id}/events?starting_after=${last}`)).text();
    expect(seen + rest).toBe(await (await other.call('GET', `/v1/generations/${id}/events`)).text());
    compare(seen + rest, stopAt);
    expect(await other.usage()).toMatchObject([{ completion_tokens: ids.length }]);
  }
  expect(killed).toBeGreaterThan(ids.length / 2);
}

interface ChatChunk {
  readonly choices: readonly {
    readonly delta: { content?: string; tool_calls?: readonly { id?: string; function: { name?: string; arguments: string } }[] };
    readonly finish_reason: string | null;
  }[];
}

const chunksIn = (bytes: string) => [...bytes.matchAll(/^data: (\{.*\})$/gm)].map(([, json = '']) => JSON.parse(json) as ChatChunk);

describe('a taken over answer', () => {
  it('goes on in the middle of a tool call, under the same call id', { timeout: 60_000 }, async () => {
    const call = { name: 'get_weather', arguments: { city: 'Saint-Étienne', days: 3 } };
    const body = {
      messages: [{ role: 'user', content: 'How is the weather?' }],
      tools: [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object' } } }],
      max_tokens: 200,
    };
    await killAtEveryToken('/v1/chat/completions', body, `<tool_call>\n${JSON.stringify(call)}\n</tool_call>`, (bytes) => {
      const calls = chunksIn(bytes).flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? []);
      expect(calls.filter((one) => one.id !== undefined)).toHaveLength(1);
      expect(calls[0]?.function.name).toBe('get_weather');
      expect(JSON.parse(calls.map((one) => one.function.arguments).join(''))).toEqual(call.arguments);
      expect(chunksIn(bytes).at(-1)?.choices[0]?.finish_reason).toBe('tool_calls');
    });
  });

  it('goes on inside a character, and inside what may become a stop sequence', { timeout: 60_000 }, async () => {
    const text = 'Ein Fähnlein 👩‍🚀 im Wind, and then — 雨が降る. THE';
    const body = { messages: [{ role: 'user', content: 'x' }], stop: ['THE END'], max_tokens: 200 };
    await killAtEveryToken('/v1/chat/completions', body, text, (bytes) => {
      expect(
        chunksIn(bytes)
          .map((chunk) => chunk.choices[0]?.delta.content ?? '')
          .join(''),
      ).toBe(text);
      expect(bytes.endsWith('data: [DONE]\n\n')).toBe(true);
    });
  });

  it('goes on inside the items of a response, numbered without a gap', { timeout: 60_000 }, async () => {
    const text = 'The answer is 42, as it always was.';
    await killAtEveryToken('/v1/responses', { input: 'What is it?', max_output_tokens: 200 }, text, (bytes) => {
      const events = [...bytes.matchAll(/^data: (\{.*\})$/gm)].map(([, json = '']) => JSON.parse(json));
      expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
      expect(events.at(-1)).toMatchObject({ type: 'response.completed' });
      expect(events.at(-1).response.output[0].content[0].text).toBe(text);
    });
  });
});
