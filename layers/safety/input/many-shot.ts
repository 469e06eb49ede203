const speakers = new Set([
  'user',
  'human',
  'assistant',
  'ai',
  'question',
  'answer',
  'q',
  'a',
  'bot',
  'chatbot',
  'model',
  'system',
  'h',
  'gpt',
  'chatgpt',
]);
/** Characters at the start of a line in which a speaker's name and its colon must stand. */
const longestName = 16;

/** Lines of a text that begin like a turn of a conversation: `User:`, `Assistant:`, `Q:`. One look at each line. */
export function countFakeTurns(text: string): number {
  let turns = 0;
  for (let start = 0; start < text.length; ) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const head = text.slice(start, Math.min(end, start + longestName)).toLowerCase();
    const colon = head.indexOf(':');
    if (colon > 0 && speakers.has(head.slice(0, colon).replace(/[^a-z]/g, ''))) turns += 1;
    start = end + 1;
  }
  return turns;
}
