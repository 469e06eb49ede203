/**
 * Encoded text inside a message: base64, hexadecimal, percent-encoding and rot13. What a model can read, a filter must read too. The work is
 * bounded: at most `mostPieces` pieces and `mostCharacters` decoded characters for each message, two layers deep.
 */
import { classOf, endOf, hexDigits, isAlphanumeric, isBase64 } from '../exact/characters.ts';

const mostPieces = 16;
const mostCharacters = 16_384;
const deepest = 2;
const shortestBase64 = 20;
const shortestHex = 24;
const shortestPercent = 6;
const base64 = classOf(isBase64);
const percentEncoded = classOf((code) => code === 37 || isAlphanumeric(code) || code === 43 || code === 45 || code === 46 || code === 95);
/** Nobody reads it, but what is inside may be read. */
const stillEncoded = /^[\w+/=%.\s-]+$/;
/** Share of letters and spaces that tells text from decoded noise. */
const textShare = 0.8;

export interface UnwrappedText {
  readonly encoding: 'base64' | 'hex' | 'percent' | 'rot13';
  readonly text: string;
}

/** Every readable text that is encoded in `text`. */
export function unwrapEncodings(text: string): UnwrappedText[] {
  const budget = { pieces: mostPieces, characters: mostCharacters };
  return unwrap(text.slice(0, mostCharacters * 4), 1, budget);
}

function unwrap(text: string, depth: number, budget: { pieces: number; characters: number }): UnwrappedText[] {
  const found: UnwrappedText[] = [];
  const add = (encoding: UnwrappedText['encoding'], decoded: string) => {
    const readable = decoded.slice(0, budget.characters);
    const isText = isReadable(readable);
    if (budget.pieces <= 0 || readable.length < 4 || !(isText || (depth < deepest && stillEncoded.test(readable)))) return;
    budget.pieces -= 1;
    budget.characters -= readable.length;
    if (isText) found.push({ encoding, text: readable });
    if (depth < deepest) found.push(...unwrap(readable, depth + 1, budget));
  };
  for (let start = 0; start < text.length && budget.pieces > 0; start += 1) {
    const code = text.charCodeAt(start);
    if (code === 37) {
      const end = endOf(text, start, percentEncoded);
      if (end - start >= shortestPercent) add('percent', decodePercent(text.slice(start, end)));
      start = Math.max(end - 1, start);
      continue;
    }
    if (!isBase64(code)) continue;
    const end = endOf(text, start, base64);
    const word = text.slice(start, end);
    if (word.length >= shortestHex && word.length % 2 === 0 && endOf(word, 0, hexDigits) === word.length)
      add('hex', decodeBytes(word, 'hex'));
    else if (word.length >= shortestBase64) add('base64', decodeBytes(word, 'base64'));
    start = end - 1;
  }
  const rotated = rot13(text);
  if (depth === 1 && commonWords(rotated) >= 2 && commonWords(rotated) > 2 * commonWords(text)) add('rot13', rotated);
  return found;
}

function decodeBytes(text: string, encoding: 'hex' | 'base64'): string {
  return new TextDecoder().decode(Buffer.from(text, encoding));
}

function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    // Not percent-encoded UTF-8 after all.
    return '';
  }
}

function rot13(text: string): string {
  let rotated = '';
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    const base = code >= 97 && code <= 122 ? 97 : code >= 65 && code <= 90 ? 65 : 0;
    rotated += base === 0 ? text[index] : String.fromCharCode(((code - base + 13) % 26) + base);
  }
  return rotated;
}

function isReadable(text: string): boolean {
  let readable = 0;
  for (const character of text) if (/[\p{L}\p{N}\s.,!?'":;-]/u.test(character)) readable += 1;
  return !text.includes('\ufffd') && readable >= text.length * textShare && /[\p{L}]{3}/u.test(text);
}

const commonEnglish = new Set(
  'the and you your all any how are for with this that what ignore instructions previous system prompt tell make write give not now'.split(
    ' ',
  ),
);

function commonWords(text: string): number {
  return text
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => commonEnglish.has(word)).length;
}
