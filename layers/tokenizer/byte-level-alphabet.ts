/**
 * GPT-2's printable alphabet for bytes (`bytes_to_unicode` of openai/gpt-2): printable Latin-1 stands for itself, every other byte for
 * the next code point from U+0100 on. `tokenizer.json` and GGUF spell tokens in it.
 */
function buildAlphabet(): { readonly byteOf: ReadonlyMap<string, number>; readonly characterOf: readonly string[] } {
  const byteOf = new Map<string, number>();
  const characterOf: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    const character = String.fromCharCode(printable ? byte : next++);
    byteOf.set(character, byte);
    characterOf.push(character);
  }
  return { byteOf, characterOf };
}

const alphabet = buildAlphabet();

/** How a byte is spelled. */
export function spellByte(byte: number): string {
  return alphabet.characterOf[byte] as string; // the alphabet has all 256
}

/** The bytes that a spelled token stands for; a token with a character outside the alphabet stands for its own UTF-8, as Hugging Face decodes it. */
export function readSpelledToken(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let at = 0; at < token.length; at++) {
    const byte = alphabet.byteOf.get(token.charAt(at));
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes[at] = byte;
  }
  return bytes;
}
