import { InvalidRequestError } from '../errors.ts';
import type { LoadedModel } from '../served-models.ts';
import type { Prompt } from './generation-request.ts';

/**
 * The exact ids that the model will read. Control tokens stand only where the chat template wrote them: text that a user typed is
 * encoded as plain text, whatever it looks like.
 * @throws {InvalidRequestError} an id that the vocabulary lacks, or a prompt without a token.
 */
export async function tokenizePrompt(model: LoadedModel, prompt: Prompt, param: string, signal: AbortSignal): Promise<readonly number[]> {
  const tokenIds = await encode(model, prompt, param, signal);
  if (tokenIds.length === 0) throw new InvalidRequestError(`\`${param}\` holds no token: send at least one character.`, { param });
  return tokenIds;
}

async function encode(model: LoadedModel, prompt: Prompt, param: string, signal: AbortSignal): Promise<readonly number[]> {
  switch (prompt.type) {
    case 'messages':
      return [...model.chatTemplate.encode({ messages: prompt.messages, addGenerationPrompt: true })];
    case 'text':
      return [...(await model.tokenizer.encodeAsync(prompt.text, signal))];
    case 'tokens': {
      const { vocabularySize } = model.tokenizer;
      const unknown = prompt.tokenIds.find((tokenId) => tokenId >= vocabularySize);
      if (unknown === undefined) return prompt.tokenIds;
      throw new InvalidRequestError(`\`${param}\` has token id ${unknown}, but the model's ids are 0 to ${vocabularySize - 1}.`, { param });
    }
  }
}
