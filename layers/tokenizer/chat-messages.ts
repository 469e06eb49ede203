import { ChatTemplateError } from './errors.ts';

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
 * Messages as templates expect them: text parts joined with a line break (vLLM's rule for templates that take strings).
 * @throws {ChatTemplateError} a part that is not text.
 */
export function readMessages(messages: readonly ChatMessage[]): readonly Readonly<Record<string, unknown>>[] {
  return messages.map((message, index) => ({
    ...message,
    ...(Array.isArray(message.content) ? { content: joinParts(message.content as readonly TextPart[], index) } : {}),
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
