/** `POST /tokenize` and `/detokenize`: vLLM's. https://docs.vllm.ai/en/stable/serving/openai_compatible_server.html#tokenizer-api */
import * as v from 'valibot';
import { InvalidRequestError } from '../errors.ts';
import type { Prompt } from '../pipeline/generation-request.ts';
import type { ToolUse } from '../pipeline/tools.ts';
import { messages, readMessage } from './chat-messages.ts';
import { parseBody } from './parse-body.ts';
import { boolean, generationFields, integerBetween, nullish, string } from './request-fields.ts';
import { readToolsAsWritten, readToolUse, toolFields } from './tool-fields.ts';

export const tokenizeSchema = v.strictObject({
  model: generationFields.model,
  prompt: nullish(string),
  messages: nullish(messages),
  add_generation_prompt: nullish(boolean),
  /** False leaves out what the vocabulary puts around a text, such as a begin-of-sequence token. A template writes its own. */
  add_special_tokens: nullish(boolean),
  return_token_strs: nullish(boolean),
  tools: toolFields.tools,
  /** Ours: takes text that looks like a control token for one, as vLLM always does. For counting only: never for what will be answered. */
  parse_special_tokens: nullish(boolean),
});

export const detokenizeSchema = v.strictObject({
  model: generationFields.model,
  tokens: v.pipe(
    v.array(integerBetween(0, 2 ** 31 - 1), 'must be an array of token ids.'),
    v.maxLength(1_000_000, 'takes at most 1000000 ids.'),
  ),
});

export interface TokenizeRequest {
  readonly modelId: string;
  readonly prompt: Prompt;
  readonly addGenerationPrompt: boolean;
  readonly showTokens: boolean;
  readonly addsSpecialTokens: boolean;
  readonly toolUse: ToolUse | undefined;
  readonly parsesSpecialTokens: boolean;
}

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseTokenizeRequest(body: unknown, text: string): TokenizeRequest {
  const parsed = parseBody(tokenizeSchema, body);
  const toolUse = readToolUse({ tools: parsed.tools });
  const options = {
    modelId: parsed.model,
    addGenerationPrompt: parsed.add_generation_prompt ?? true,
    showTokens: parsed.return_token_strs ?? false,
    addsSpecialTokens: parsed.add_special_tokens ?? true,
    toolUse: toolUse === undefined ? undefined : { ...toolUse, asWritten: readToolsAsWritten(text) },
    parsesSpecialTokens: parsed.parse_special_tokens ?? false,
  };
  if (typeof parsed.prompt === 'string' && !Array.isArray(parsed.messages))
    return { ...options, prompt: { type: 'text', text: parsed.prompt } };
  if (Array.isArray(parsed.messages) && typeof parsed.prompt !== 'string') {
    return { ...options, prompt: { type: 'messages', messages: parsed.messages.map(readMessage) } };
  }
  throw new InvalidRequestError("Send either 'prompt' or 'messages'.", { param: 'prompt' });
}

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseDetokenizeRequest(body: unknown): { readonly modelId: string; readonly tokenIds: readonly number[] } {
  const { model, tokens } = parseBody(detokenizeSchema, body);
  return { modelId: model, tokenIds: tokens };
}
