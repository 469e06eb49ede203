import type { Tokenizer } from '../../../layers/tokenizer/index.ts';
import type { SampledTokenLogprob } from '../services.ts';
import type { TokenDetail } from './generation-request.ts';

/** OpenAI shows a token that is not whole UTF-8 as replacement characters beside its exact bytes. */
const lossyText = new TextDecoder('utf-8', { ignoreBOM: true });

/** @param sampled `undefined` for the first token of a prompt, which follows nothing. */
export function describeToken(
  tokenizer: Tokenizer,
  tokenId: number,
  textOffset: number,
  sampled: SampledTokenLogprob | undefined,
): TokenDetail {
  const describe = (id: number) => {
    const bytes = tokenizer.tokenBytes(id);
    return { token: lossyText.decode(bytes), bytes };
  };
  const top = sampled?.top.map((one) => ({ ...describe(one.tokenId), logprob: one.logprob })) ?? [];
  return { ...describe(tokenId), textOffset, logprob: sampled?.logprob, top };
}
