import { type ChatMessage, ChatTemplateError, type Tokenizer } from '../../../layers/tokenizer/index.ts';
import { InvalidRequestError } from '../errors.ts';
import type { LoadedModel } from '../served-models.ts';
import { describeTools, toChatTool } from './describe-tools.ts';
import type { GenerationRequest, Prompt } from './generation-request.ts';

type PromptSource = Pick<GenerationRequest, 'promptParam' | 'toolUse'> & {
  /** Ends with the opening of the assistant's turn; true where nothing is said. */
  readonly addGenerationPrompt?: boolean;
};

/**
 * The exact ids that the model will read. Control tokens stand only where the chat template wrote them: text that a user typed is
 * encoded as plain text, whatever it looks like.
 * @throws {InvalidRequestError} an id that the vocabulary lacks, messages that the template refuses, or a prompt without a token.
 */
export async function tokenizePrompt(
  model: LoadedModel,
  prompt: Prompt,
  request: PromptSource,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const { promptParam: param } = request;
  const tokenIds = await encode(model, prompt, request, signal);
  if (tokenIds.length === 0) throw new InvalidRequestError(`\`${param}\` holds no token: send at least one character.`, { param });
  return tokenIds;
}

async function encode(model: LoadedModel, prompt: Prompt, request: PromptSource, signal: AbortSignal): Promise<readonly number[]> {
  switch (prompt.type) {
    case 'messages':
      return encodeMessages(model, prompt.messages, request);
    case 'text':
      return encodeText(model.tokenizer, prompt.text, signal);
    case 'tokens': {
      const { promptParam: param } = request;
      const { vocabularySize } = model.tokenizer;
      const unknown = prompt.tokenIds.find((tokenId) => tokenId >= vocabularySize);
      if (unknown === undefined) return prompt.tokenIds;
      throw new InvalidRequestError(`\`${param}\` has token id ${unknown}, but the model's ids are 0 to ${vocabularySize - 1}.`, { param });
    }
  }
}

/** Also what `fit-prompt.ts` measures by: one way to turn messages into ids. */
export function encodeMessages(
  model: LoadedModel,
  messages: readonly ChatMessage[],
  { promptParam: param, toolUse, addGenerationPrompt = true }: PromptSource,
): readonly number[] {
  // With `none` the model need not know of tools.
  const use = toolUse === undefined || toolUse.choice.type === 'none' ? undefined : toolUse;
  const tools = use?.tools.map(toChatTool) ?? [];
  const input = model.templateReadsTools ? { messages, tools: use?.asWritten ?? tools } : { messages: describeTools(messages, tools) };
  try {
    return [...model.chatTemplate.encode({ ...input, addGenerationPrompt })];
  } catch (error) {
    if (!(error instanceof ChatTemplateError)) throw error;
    throw new InvalidRequestError(`\`${param}\` cannot be rendered for this model: ${error.message}`, { param, cause: error });
  }
}

/** A bare text, with what the vocabulary puts around each text: a begin-of-sequence token, where the model was trained with one. */
export async function encodeText(tokenizer: Tokenizer, text: string, signal: AbortSignal): Promise<readonly number[]> {
  return [...tokenizer.promptPrefix, ...(await tokenizer.encodeAsync(text, signal)), ...tokenizer.promptSuffix];
}
