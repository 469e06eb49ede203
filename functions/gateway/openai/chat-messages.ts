/** `messages`, in. https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages */
import * as v from 'valibot';
import type { ChatMessage } from '../../../layers/tokenizer/index.ts';
import { nullish, string } from './request-fields.ts';

const textPart = v.strictObject({ type: v.literal('text'), text: string });

/** A part of another kind is refused by its name, so that nobody wonders where an image went. */
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
/** Chosen by what was sent, so that the complaint is about the part and not about the union. */
const content = v.lazy((input) => (Array.isArray(input) ? contentParts : v.string('must be a string or an array of text parts.')));

const toolCall = v.strictObject(
  {
    id: string,
    type: v.literal('function', 'must be `function`.'),
    function: v.strictObject({ name: string, arguments: string }, 'must be an object with `name` and `arguments`.'),
  },
  'must be a call of a function.',
);

const assistant = v.pipe(
  v.strictObject({
    role: v.literal('assistant'),
    content: nullish(content),
    name: nullish(string),
    refusal: nullish(string),
    /** What an open model thought before: its template decides whether to show it again. */
    reasoning_content: nullish(string),
    tool_calls: nullish(v.array(toolCall, 'must be an array of calls.')),
    annotations: nullish(v.array(v.unknown())),
    audio: nullish(v.null('audio is not served.')),
    function_call: nullish(v.null('has been replaced by `tool_calls`.')),
  }),
  v.forward(
    v.check(
      (message) =>
        (message.content !== undefined && message.content !== null) ||
        (message.tool_calls ?? []).length > 0 ||
        typeof message.refusal === 'string',
      'is needed in a message without `tool_calls`.',
    ),
    ['content'],
  ),
);

const message = v.variant(
  'role',
  [
    v.strictObject({ role: v.picklist(['system', 'developer', 'user']), content, name: nullish(string) }),
    assistant,
    v.strictObject({ role: v.literal('tool'), content, tool_call_id: string, name: nullish(string) }),
  ],
  (issue) =>
    issue.type === 'variant' && issue.expected.startsWith('"')
      ? 'must be one of system, developer, user, assistant, tool.'
      : 'must be a message object.',
);

export const messages = v.pipe(v.array(message, 'must be an array of messages.'), v.minLength(1, 'must have at least one message.'));

type WireMessage = v.InferOutput<typeof message>;
type WireContent = v.InferOutput<typeof content>;

/** Open models know no developer role: it is OpenAI's newer name for system. */
export function readMessage(wire: WireMessage): ChatMessage {
  switch (wire.role) {
    case 'system':
    case 'developer':
      return { role: 'system', content: readContent(wire.content) };
    case 'user':
      return { role: 'user', content: readContent(wire.content) };
    case 'tool':
      return {
        role: 'tool',
        content: readContent(wire.content),
        tool_call_id: wire.tool_call_id,
        ...(typeof wire.name === 'string' ? { name: wire.name } : {}),
      };
    case 'assistant':
      return {
        role: 'assistant',
        content: wire.content === undefined || wire.content === null ? (wire.refusal ?? '') : readContent(wire.content),
        ...(typeof wire.reasoning_content === 'string' ? { reasoning_content: wire.reasoning_content } : {}),
        ...(wire.tool_calls === undefined || wire.tool_calls === null || wire.tool_calls.length === 0
          ? {}
          : { tool_calls: wire.tool_calls }),
      };
  }
}

/** Text parts are joined with a line break, as vLLM does. */
function readContent(wire: WireContent): string {
  return typeof wire === 'string' ? wire : wire.map((part) => part.text).join('\n');
}
