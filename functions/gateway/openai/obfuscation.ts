/**
 * Hides how long each delta is from whoever watches encrypted traffic: the lengths of a stream's events can tell what it says. Each delta
 * carries random letters that fill it up to a multiple of 16 characters. On by default, as OpenAI has it; `include_obfuscation: false`
 * turns it off. https://platform.openai.com/docs/api-reference/chat-streaming
 */
const BLOCK = 16;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** @param delta what the event says. @returns 1 to 16 random letters. */
export function obfuscate(delta: string): string {
  const missing = BLOCK - (delta.length % BLOCK);
  const random = crypto.getRandomValues(new Uint8Array(missing));
  return Array.from(random, (byte) => LETTERS[byte % LETTERS.length]).join('');
}
