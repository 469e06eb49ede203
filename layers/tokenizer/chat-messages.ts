import { ChatTemplateError } from './errors.ts';
import { parseExactJson } from './exact-json.ts';

export interface TextPart {
  readonly type: string;
  readonly text?: string;
}

/** A message as the OpenAI API has it; templates read further fields by their wire names. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | readonly TextPart[] | null;
  readonly tool_calls?: readonly unknown[];
  readonly [field: string]: unknown;
}

/** A tool as the OpenAI API has it: `{ type: 'function', function: { name, description, parameters } }`. */
export type ChatTool = Readonly<Record<string, unknown>>;

/**
 * Messages as templates expect them: text parts joined with a line break (vLLM's rule for templates that take strings), and the
 * arguments of tool calls as data, where the wire has them as JSON text.
 * @throws {ChatTemplateError} a part that is not text, or arguments that are not JSON.
 */
export function readMessages(messages: readonly ChatMessage[]): readonly Readonly<Record<string, unknown>>[] {
  return messages.map((message, index) => ({
    ...message,
    ...(Array.isArray(message.content) ? { content: joinParts(message.content as readonly TextPart[], index) } : {}),
    ...(Array.isArray(message.tool_calls) ? { tool_calls: message.tool_calls.map((call, at) => readToolCall(call, index, at)) } : {}),
  }));
}

function joinParts(parts: readonly TextPart[], message: number): string {
  return parts
    .map(({ type, text }, index) => {
      if (type === 'text' && typeof text === 'string') return text;
      throw new ChatTemplateError(`messages.${message}.content.${index} is of type ${type.slice(0, 64)}: this model reads text only.`);
    })
    .join('\n');
}

function readToolCall(call: unknown, message: number, index: number): unknown {
  if (typeof call !== 'object' || call === null || !('function' in call)) return call;
  const called = call.function;
  if (typeof called !== 'object' || called === null || !('arguments' in called) || typeof called.arguments !== 'string') return call;
  try {
    return { ...call, function: { ...called, arguments: parseExactJson(called.arguments) } };
  } catch {
    throw new ChatTemplateError(`messages.${message}.tool_calls.${index}.function.arguments is not valid JSON.`);
  }
}
