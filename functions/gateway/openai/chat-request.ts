/** `POST /v1/chat/completions`, in. https://platform.openai.com/docs/api-reference/chat/create */
import * as v from 'valibot';
import { InvalidRequestError } from '../errors.ts';
import { messages, readMessage } from './chat-messages.ts';
import { jsonObject } from './json-schema.ts';
import { parseBody } from './parse-body.ts';
import {
  boolean,
  generationFields,
  integerBetween,
  maxTokens,
  metadata,
  nullish,
  type ParsedRequest,
  readDelivery,
  readSampling,
  readStop,
  refused,
  serviceTier,
} from './request-fields.ts';
import { readResponseFormat, readToolsAsWritten, readToolUse, toolFields } from './tool-fields.ts';

export const chatSchema = v.strictObject({
  ...generationFields,
  ...toolFields,
  messages,
  max_tokens: nullish(maxTokens),
  max_completion_tokens: nullish(maxTokens),
  logprobs: nullish(boolean),
  top_logprobs: nullish(integerBetween(0, 20)),
  metadata: nullish(metadata),
  store: nullish(boolean),
  service_tier: nullish(serviceTier),
  modalities: nullish(v.array(v.literal('text', 'this model writes text only.'), 'must be an array.')),
  /** Hints that change neither what is right nor what is charged. */
  prediction: nullish(jsonObject),
  reasoning_effort: nullish(
    v.picklist(['none', 'minimal', 'low', 'medium', 'high', 'xhigh'], 'must be one of none, minimal, low, medium, high, xhigh.'),
  ),
  verbosity: nullish(v.picklist(['low', 'medium', 'high'], 'must be one of low, medium, high.')),
  audio: refused('audio is not served: this model writes text only.'),
  web_search_options: refused('web search is not served.'),
  functions: refused("has been replaced by 'tools'."),
  function_call: refused("has been replaced by 'tool_choice'."),
});

/** @param text the body as it was sent. @throws {InvalidRequestError} naming the field at fault. */
export function parseChatRequest(body: unknown, requestId: string, text: string): ParsedRequest {
  const chat = parseBody(chatSchema, body);
  if (typeof chat.top_logprobs === 'number' && chat.logprobs !== true) {
    throw new InvalidRequestError("'top_logprobs' needs 'logprobs' to be true.", { param: 'top_logprobs' });
  }
  const limit = chat.max_completion_tokens ?? chat.max_tokens;
  const toolUse = readToolUse(chat);
  const grammar = readResponseFormat(chat);
  return {
    request: {
      requestId,
      modelId: chat.model,
      prompts: [{ type: 'messages', messages: chat.messages.map(readMessage) }],
      promptParam: 'messages',
      choicesPerPrompt: chat.n ?? 1,
      ...(typeof limit === 'number' ? { maxTokens: limit } : {}),
      maxTokensParam: typeof chat.max_completion_tokens === 'number' ? 'max_completion_tokens' : 'max_tokens',
      sampling: readSampling(chat),
      stop: readStop(chat),
      ...(toolUse === undefined ? {} : { toolUse: { ...toolUse, asWritten: readToolsAsWritten(text) } }),
      ...(grammar === undefined ? {} : { grammar }),
      ...(chat.logprobs === true ? { topLogprobs: chat.top_logprobs ?? 0 } : {}),
    },
    delivery: readDelivery(chat),
  };
}
