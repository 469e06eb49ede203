/** `POST /v1/chat/completions`, in. https://platform.openai.com/docs/api-reference/chat/create */
import * as v from 'valibot';
import type { ChatMessage } from '../../../layers/tokenizer/index.ts';
import { InvalidRequestError } from '../errors.ts';
import { parseBody } from './parse-body.ts';
import {
  boolean,
  generationFields,
  integerBetween,
  maxTokens,
  nullish,
  type ParsedRequest,
  readDelivery,
  readSampling,
  readStop,
  string,
} from './request-fields.ts';

const textPart = v.strictObject({ type: v.literal('text'), text: string });
const contentParts = v.pipe(
  v.array(
    v.pipe(
      v.looseObject({ type: string }, 'must be a content part.'),
      v.rawTransform(({ dataset, addIssue, NEVER }) => {
        const part = v.safeParse(textPart, dataset.value);
        if (part.success) return part.output;
        addIssue({
          message:
            dataset.value.type === 'text'
              ? 'a `text` part takes `text` and nothing else.'
              : `content parts of type \`${dataset.value.type.slice(0, 64)}\` are not served: this model reads text only.`,
        });
        return NEVER;
      }),
    ),
  ),
  v.minLength(1, 'must have at least one part.'),
);
const content = v.union([string, contentParts], 'must be a string or an array of text parts.');

const message = v.variant(
  'role',
  [
    v.strictObject({ role: v.picklist(['system', 'developer', 'user']), content, name: nullish(string) }),
    v.strictObject({ role: v.literal('assistant'), content, name: nullish(string), refusal: nullish(string) }),
  ],
  (issue) =>
    issue.expected?.startsWith('"') || issue.expected?.startsWith('(')
      ? 'must be one of system, developer, user, assistant.'
      : 'must be a message object.',
);

const schema = v.strictObject({
  ...generationFields,
  messages: v.pipe(v.array(message, 'must be an array of messages.'), v.minLength(1, 'must have at least one message.')),
  max_tokens: nullish(maxTokens),
  max_completion_tokens: nullish(maxTokens),
  logprobs: nullish(boolean),
  top_logprobs: nullish(integerBetween(0, 20)),
});

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseChatRequest(body: unknown, requestId: string): ParsedRequest {
  const chat = parseBody(schema, body);
  if (typeof chat.top_logprobs === 'number' && chat.logprobs !== true) {
    throw new InvalidRequestError("'top_logprobs' needs 'logprobs' to be true.", { param: 'top_logprobs' });
  }
  const limit = chat.max_completion_tokens ?? chat.max_tokens;
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
      ...(chat.logprobs === true ? { topLogprobs: chat.top_logprobs ?? 0 } : {}),
    },
    delivery: readDelivery(chat),
  };
}

type WireMessage = v.InferOutput<typeof message>;

/** Open models know no developer role: it is OpenAI's newer name for system. Text parts are joined with a line break, as vLLM does. */
function readMessage(wire: WireMessage): ChatMessage {
  return {
    role: wire.role === 'developer' ? 'system' : wire.role,
    content: typeof wire.content === 'string' ? wire.content : wire.content.map((part) => part.text).join('\n'),
  };
}
