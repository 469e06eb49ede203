import { beforeAll, describe, expect, it } from 'vitest';
import { createFolderTokenizerFiles } from '../../../functions/drivers/folder-tokenizer-files.ts';
import { loadConfig } from '../../../functions/gateway/config.ts';
import type { EndpointEvent } from '../../../functions/gateway/services.ts';
import { loadTokenizer, type Tokenizer } from '../../../layers/tokenizer/index.ts';
import { createTestGateway, readEvents } from '../../support/gateway.ts';
import { readJson } from '../../support/read-json.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';

const MODEL = 'smollm2-135m-instruct';
let tokenizer: Tokenizer;

interface CompletionBody {
  choices: {
    index: number;
    text: string;
    finish_reason: string;
    logprobs: { tokens: string[]; token_logprobs: (number | null)[]; top_logprobs: (object | null)[]; text_offset: number[] } | null;
  }[];
  usage: { prompt_tokens: number; completion_tokens: number };
  error?: { param: string };
}

beforeAll(async () => {
  const { tokenizersFolder } = loadConfig({ PENSTOCK_API_KEY_HASHES: 'a'.repeat(64) });
  tokenizer = loadTokenizer((await createFolderTokenizerFiles(tokenizersFolder).load('smollm2')).vocabulary);
});

/** Each token with this log-probability, itself the likeliest. */
function says(text: string, logprob = -0.5): EndpointEvent[] {
  return [
    ...[...tokenizer.encode(text)].map(
      (tokenId): EndpointEvent => ({ type: 'tokens', tokenIds: [tokenId], logprobs: [{ tokenId, logprob, top: [{ tokenId, logprob }] }] }),
    ),
    { type: 'end', finishReason: 'length' },
  ];
}

/** An endpoint that also scores: every prompt token but the first at -2. */
function scoring(script: ConstructorParameters<typeof ScriptedEndpoint>[0]): ScriptedEndpoint {
  return new (class extends ScriptedEndpoint {
    override async score({ prompts }: { prompts: readonly (readonly number[])[] }) {
      return prompts.map((prompt) =>
        prompt.map((tokenId, position) => (position === 0 ? undefined : { tokenId, logprob: -2, top: [{ tokenId, logprob: -2 }] })),
      );
    }
  })(script);
}

describe('echo', () => {
  it('scores a given text: what lm-evaluation-harness asks for', async () => {
    const endpoint = scoring(() => says('never asked'));
    const { post } = await createTestGateway(endpoint);
    const prompt = 'The naïve 👋 café is open';
    const answer = await readJson<CompletionBody>(
      await post('/v1/completions', { model: MODEL, prompt, echo: true, max_tokens: 0, logprobs: 1 }),
    );
    const [choice] = answer.choices;
    const ids = [...tokenizer.encode(prompt)];
    expect(choice?.text).toBe(prompt);
    expect(choice?.finish_reason).toBe('length');
    expect(choice?.logprobs?.token_logprobs).toEqual(ids.map((_, position) => (position === 0 ? null : -2)));
    expect(choice?.logprobs?.top_logprobs[0]).toBeNull();
    expect(choice?.logprobs?.tokens).toHaveLength(ids.length);
    // Offsets are where each token's first character starts, in characters.
    const starts = ids.map((_, position) => [...tokenizer.decode(ids.slice(0, position))].filter((letter) => letter !== '\uFFFD').length);
    expect(choice?.logprobs?.text_offset).toEqual(starts);
    expect(endpoint.requests).toEqual([]);
    expect(answer.usage).toMatchObject({ prompt_tokens: ids.length, completion_tokens: 0 });
  });

  it('puts the prompt before the answer, streamed and whole, with offsets that go on', async () => {
    const { post } = await createTestGateway(scoring(() => says(' there')));
    const body = { model: MODEL, prompt: 'Hello', echo: true, max_tokens: 4, logprobs: 0 };
    const whole = await readJson<CompletionBody>(await post('/v1/completions', body));
    expect(whole.choices[0]?.text).toBe('Hello there');
    expect(whole.choices[0]?.logprobs?.text_offset.at(-1)).toBe('Hello'.length);
    const events = await readEvents(await post('/v1/completions', { ...body, stream: true }));
    expect(events.pop()).toBe('[DONE]');
    expect((events as CompletionBody[]).map((event) => event.choices[0]?.text ?? '').join('')).toBe('Hello there');
  });

  it('needs no scores without logprobs', async () => {
    const { post } = await createTestGateway(new ScriptedEndpoint(() => says(' there')));
    const answer = await readJson<CompletionBody>(
      await post('/v1/completions', { model: MODEL, prompt: ['Hello', 'Ho'], echo: true, max_tokens: 4 }),
    );
    expect(answer.choices.map((choice) => choice.text)).toEqual(['Hello there', 'Ho there']);
  });
});

describe('best_of', () => {
  it('answers with the likeliest candidates and charges all', async () => {
    const likelihoods = [-3, -1, -2];
    const endpoint = new ScriptedEndpoint((_, call) => says(` answer ${call}`, likelihoods[call]));
    const { post } = await createTestGateway(endpoint);
    const answer = await readJson<CompletionBody>(
      await post('/v1/completions', { model: MODEL, prompt: 'Go', best_of: 3, n: 2, max_tokens: 8 }),
    );
    expect(answer.choices.map((choice) => choice.text)).toEqual([' answer 1', ' answer 2']);
    expect(answer.choices.map((choice) => choice.logprobs)).toEqual([null, null]);
    expect(answer.usage.completion_tokens).toBe(3 * tokenizer.encode(' answer 0').length);
    expect(answer.usage.prompt_tokens).toBe(tokenizer.encode('Go').length);
  });
});

describe('what cannot be', () => {
  it.each([
    ['no tokens without echo', { max_tokens: 0 }, 'max_tokens'],
    ['best_of below n', { n: 2, best_of: 1 }, 'best_of'],
    ['best_of streamed', { best_of: 2, stream: true }, 'best_of'],
    ['a suffix', { suffix: 'end' }, 'suffix'],
    ['a prompt of nothing', { prompt: [] }, 'prompt'],
  ])('answers 400 to %s', async (_, fields, param) => {
    const { post } = await createTestGateway(new ScriptedEndpoint(() => says('x')));
    const response = await post('/v1/completions', { model: MODEL, prompt: 'Hi', ...fields });
    expect(response.status).toBe(400);
    expect((await readJson<CompletionBody>(response)).error?.param).toBe(param);
  });
});
