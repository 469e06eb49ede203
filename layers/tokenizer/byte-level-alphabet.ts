/**
 * GPT-2's printable alphabet for bytes (`bytes_to_unicode` of openai/gpt-2): printable Latin-1 stands for itself, every other byte for
 * the next code point from U+0100 on. `tokenizer.json` and GGUF spell tokens in it.
 */
function buildAlphabet(): ReadonlyMap<string, number> {
  const byteOf = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    byteOf.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return byteOf;
}

const alphabet = buildAlphabet();

/**
 * The bytes that a spelled token stands for. A token with a character outside the alphabet is no spelling: text never becomes it, and it
 * decodes to its own UTF-8, as in Hugging Face.
 */
export function readSpelledToken(token: string): { readonly bytes: Uint8Array; readonly spelled: boolean } {
  const bytes = new Uint8Array(token.length);
  for (let at = 0; at < token.length; at++) {
    const byte = alphabet.get(token.charAt(at));
    if (byte === undefined) return { bytes: new TextEncoder().encode(token), spelled: false };
    bytes[at] = byte;
  }
  return { bytes, spelled: true };
}

const letterOf = new Map([...alphabet].map(([letter, byte]) => [byte, letter]));

/** Bytes in the alphabet, as tokenizer files spell a token. */
export function spellBytes(bytes: Uint8Array): string {
  let spelled = '';
  for (const byte of bytes) spelled += letterOf.get(byte);
  return spelled;
}
