import { createFolderTokenizerFiles } from '../../functions/drivers/folder-tokenizer-files.ts';
import { loadConfig } from '../../functions/gateway/config.ts';
import type { EndpointEvent } from '../../functions/gateway/services.ts';
import { loadTokenizer, type Tokenizer } from '../../layers/tokenizer/index.ts';

export const MODEL = 'smollm2-135m-instruct';
const END_OF_TURN = 2;

export async function loadModelTokenizer(): Promise<Tokenizer> {
  const { tokenizersFolder } = loadConfig({ PENSTOCK_API_KEY_HASHES: 'a'.repeat(64) });
  return loadTokenizer((await createFolderTokenizerFiles(tokenizersFolder).load('smollm2')).vocabulary);
}

/** The model says this text, a token an event, and ends its turn, or is cut. */
export function says(tokenizer: Tokenizer, text: string, end: 'stop' | 'length' = 'stop'): EndpointEvent[] {
  return [
    ...[...tokenizer.encode(text)].map(
      (tokenId): EndpointEvent => ({
        type: 'tokens',
        tokenIds: [tokenId],
        logprobs: [{ tokenId, logprob: -0.5, top: [{ tokenId, logprob: -0.5 }] }],
      }),
    ),
    ...(end === 'stop' ? [{ type: 'tokens', tokenIds: [END_OF_TURN] } as const] : []),
    { type: 'end', finishReason: end },
  ];
}
