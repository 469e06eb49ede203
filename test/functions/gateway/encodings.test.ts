import { get_encoding } from 'tiktoken';
import { beforeAll, describe, expect, it } from 'vitest';
import { COMPILED_FOLDER, loadEncoding } from '../../../models/tokenizers/encodings.ts';
import { createTestGateway } from '../../support/gateway.ts';
import { readJson } from '../../support/read-json.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';

interface Tokenized {
  count: number;
  max_model_len: number | null;
  tokens: number[];
  error?: { param: string };
}
let post: (path: string, body: unknown) => Promise<Response>;

beforeAll(async () => {
  await loadEncoding('cl100k_base'); // compiled where it is not yet
  ({ post } = await createTestGateway(new ScriptedEndpoint(() => []), { PENSTOCK_ENCODINGS: COMPILED_FOLDER }));
}, 60_000);

describe('/tokenize with an encoding of GPT models', () => {
  it('gives what tiktoken gives, and takes it back', async () => {
    const reference = get_encoding('cl100k_base');
    const prompt = 'Ünïcode 👩‍👩‍👧, 1234567 and <|endoftext|> as text';
    const { tokens, count, max_model_len } = await readJson<Tokenized>(await post('/tokenize', { model: 'cl100k_base', prompt }));
    expect(tokens).toEqual([...reference.encode(prompt, [], [])]);
    expect(count).toBe(tokens.length);
    expect(max_model_len).toBeNull();
    expect(await readJson(await post('/detokenize', { model: 'cl100k_base', tokens }))).toEqual({ prompt });
    reference.free();
  });

  it('takes control tokens from text where the caller says so', async () => {
    const prompt = 'a<|endoftext|>';
    const { tokens } = await readJson<Tokenized>(await post('/tokenize', { model: 'cl100k_base', prompt, parse_special_tokens: true }));
    expect(tokens.at(-1)).toBe(100_257); // tiktoken's openai_public.py
  });

  it('has no chat template', async () => {
    const response = await post('/tokenize', { model: 'cl100k_base', messages: [{ role: 'user', content: 'Hi' }] });
    expect(response.status).toBe(400);
    expect((await readJson<Tokenized>(response)).error?.param).toBe('messages');
  });

  it('answers 404 to an encoding that is not there, whatever its name', async () => {
    for (const model of ['p51k_base', '../smollm2', 'r50k_base/../../x']) {
      expect((await post('/tokenize', { model, prompt: 'x' })).status).toBe(404);
    }
  });
});
