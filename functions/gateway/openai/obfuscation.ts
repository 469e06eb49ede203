/**
 * Hides how long each delta is from whoever watches encrypted traffic: the lengths of a stream's events can tell what it says. Each delta
 * carries letters that fill it up to a multiple of 16 characters. On by default, as OpenAI has it; `include_obfuscation: false` turns it off.
 * The letters follow from the delta, so that an answer that another process makes again has the same bytes; under encryption their length alone
 * shows. https://platform.openai.com/docs/api-reference/chat-streaming
 */
const BLOCK = 16;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** @param delta what the event says. @returns 1 to 16 letters. */
export function obfuscate(delta: string): string {
  let state = 0x811c9dc5;
  for (let at = 0; at < delta.length; at += 1) state = Math.imul(state ^ delta.charCodeAt(at), 0x01000193);
  state ||= 1; // 0 would stay 0
  let letters = '';
  for (let left = BLOCK - (delta.length % BLOCK); left > 0; left -= 1) {
    // xorshift32 (Marsaglia 2003).
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    letters += LETTERS[state & 63];
  }
  return letters;
}
