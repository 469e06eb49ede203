import type { ChatMessage } from '../../../layers/tokenizer/index.ts';

/**
 * Leaves out the fewest of the oldest turns so that the rest fits. A turn is a message of the user with everything up to the next one, so
 * that no answer of a tool stays without its call. Messages of the system stay wherever they stand; the last turn stays even when it does
 * not fit by itself.
 * @param fits whether a list of messages fits; with fewer messages it never fits less.
 */
export function dropOldestTurns(
  messages: readonly ChatMessage[],
  fits: (messages: readonly ChatMessage[]) => boolean,
): readonly ChatMessage[] {
  const starts = messages.flatMap((message, index) => (message.role === 'user' ? [index] : []));
  const without = (turns: number): readonly ChatMessage[] => {
    const from = turns === 0 ? 0 : (starts[turns] ?? 0);
    return messages.filter((message, index) => index >= from || message.role === 'system');
  };
  let fewest = 0;
  let most = Math.max(0, starts.length - 1);
  while (fewest < most) {
    const middle = (fewest + most) >> 1;
    if (fits(without(middle))) most = middle;
    else fewest = middle + 1;
  }
  return without(fewest);
}
