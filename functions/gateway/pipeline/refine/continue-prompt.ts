import type { ChatMessage } from '../../../../layers/tokenizer/index.ts';
import type { LoadedModel } from '../../served-models.ts';

/** Stands for an answer while the template shows what comes after one. */
const STAND_IN = 'OK';

/**
 * The ids of the next turn after an answer of the model: its prompt, its very ids, and what the template writes from the end of an answer to
 * the beginning of the next, with the user's new message. Nothing of it is encoded anew, so that the prefix cache has all of it but the end.
 * @returns `undefined` for a template that writes an earlier answer otherwise than the one that it asks for.
 */
export function continuePrompt(
  model: LoadedModel,
  messages: readonly ChatMessage[],
  turn: { readonly promptTokenIds: readonly number[]; readonly answerTokenIds: readonly number[] },
  userMessage: string,
): readonly number[] | undefined {
  const { chatTemplate, tokenizer, served } = model;
  const opening = chatTemplate.encode({ messages, addGenerationPrompt: true });
  const standIn = tokenizer.encode(STAND_IN);
  const continued = chatTemplate.encode({
    messages: [...messages, { role: 'assistant', content: STAND_IN }, { role: 'user', content: userMessage }],
    addGenerationPrompt: true,
  });
  const beginning = [...opening, ...standIn];
  if (!beginning.every((tokenId, index) => continued[index] === tokenId)) return undefined;
  const answer = [...turn.answerTokenIds];
  // The template writes the end of the turn itself.
  while (served.stopTokenIds.includes(answer.at(-1) ?? -1)) answer.pop();
  return [...turn.promptTokenIds, ...answer, ...continued.slice(beginning.length)];
}
