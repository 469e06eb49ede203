import { type SafetyFilter, type ScreenedMessage, screenMessages } from '../../../layers/safety/index.ts';
import type { ChatMessage } from '../../../layers/tokenizer/index.ts';
import { ContentBlockedError } from '../errors.ts';
import type { VerdictTally } from '../generation/verdicts.ts';
import type { GenerationRequest, Prompt } from './generation-request.ts';

/**
 * Judges what was sent, message by message and tool result by tool result, before anything is held or charged. Pieces that the policy
 * redacts never reach the model. Without a policy everything passes.
 * @throws {ContentBlockedError} the policy blocks it.
 */
export async function screenInput(
  filter: SafetyFilter | undefined,
  prompt: Prompt,
  request: GenerationRequest,
  signal: AbortSignal,
  verdicts: VerdictTally,
): Promise<Prompt> {
  if (filter === undefined) return prompt;
  switch (prompt.type) {
    case 'tokens':
      return prompt; // ids are the caller's own encoding: there is no text to judge before the model has read it
    case 'text': {
      const [text = ''] = await screenTexts(filter, [{ role: 'user', text: prompt.text }], request, signal, verdicts);
      return { type: 'text', text };
    }
    case 'messages': {
      const texts = await screenTexts(filter, prompt.messages.map(readMessage), request, signal, verdicts);
      return { type: 'messages', messages: prompt.messages.map((message, index) => withText(message, texts[index] ?? '')) };
    }
  }
}

async function screenTexts(
  filter: SafetyFilter,
  messages: readonly ScreenedMessage[],
  request: GenerationRequest,
  signal: AbortSignal,
  verdicts: VerdictTally,
): Promise<readonly string[]> {
  const screened = await screenMessages(filter, messages, signal);
  for (const { verdict } of screened.messages) verdicts.note('input', verdict);
  const isBlocked = screened.messages.some(({ verdict }) => verdict.action === 'block' && !verdict.dryRun);
  if (isBlocked) throw new ContentBlockedError(request.promptParam);
  return screened.messages.map(({ redactedText, verdict }, index) => (verdict.dryRun ? (messages[index]?.text ?? '') : redactedText));
}

function readMessage({ role, content }: ChatMessage): ScreenedMessage {
  const known = role === 'system' || role === 'assistant' || role === 'tool' ? role : 'user';
  return { role: known, text: typeof content === 'string' ? content : '' };
}

/** A message without text (a call of tools) stays as it is. */
function withText(message: ChatMessage, text: string): ChatMessage {
  return typeof message.content === 'string' ? { ...message, content: text } : message;
}
