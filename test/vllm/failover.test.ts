/** Failover in mid-answer against a real vLLM in f32. Run by `npm run test:vllm`. */
import { expect, it } from 'vitest';
import { catalog } from '../../models/catalog.ts';
import { breakEverywhere } from '../support/breaking-streams.ts';
import { MAX_MODEL_LENGTH, SERVED_MODEL } from './vllm-server.ts';

const VLLM_URL = process.env['VLLM_URL'] ?? '';

it('gives the uninterrupted text at temperature 0, whichever token the stream breaks at', { timeout: 600_000 }, async () => {
  const served = catalog.find((model) => model.id === SERVED_MODEL);
  if (served === undefined) throw new Error(`the catalog has no ${SERVED_MODEL}`);
  const model = { ...served, contextLength: MAX_MODEL_LENGTH };
  const tokenizers = new URL('../../models/tokenizers', import.meta.url).pathname;
  const request = { prompt: 'The sea was calm and', max_tokens: 24, temperature: 0 };
  const { differences } = await breakEverywhere(model, tokenizers, VLLM_URL, request);
  expect(differences).toEqual([]);
});
