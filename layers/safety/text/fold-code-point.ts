/**
 * The first of two foldings: one code point to the letters it stands for, case kept. NFKD, without combining marks and invisible
 * characters, then look-alikes to Latin. It looks at one code point only, so that a stream can fold whatever has arrived: composing
 * (the C in NFKC) would need the next character, and the marks that it composes are dropped here anyway.
 */
import { homoglyphs } from './homoglyphs.ts';

const firstHangul = 0xac00;
const lastHangul = 0xd7a3;
const invisible = /^(?:\p{Default_Ignorable_Code_Point}|\p{Mn}|\p{Me}|\p{Cf})$/u;
const whiteSpace = /^\p{White_Space}$/u;
const nothing: readonly number[] = [];
const cacheLimit = 1 << 16;
const cache = new Map<number, readonly number[]>();

/** Code points that stand for `codePoint`, none for a combining mark or an invisible character. At most 18 (U+FDFA). */
export function foldCodePoint(codePoint: number): readonly number[] {
  const known = cache.get(codePoint);
  if (known !== undefined) return known;
  const folded = fold(codePoint);
  // The cache is bounded because the text is a stranger's: all of Unicode would take 60 MB.
  if (cache.size < cacheLimit) cache.set(codePoint, folded);
  return folded;
}

function fold(codePoint: number): readonly number[] {
  if (codePoint < 0x80) return [codePoint];
  if (codePoint >= firstHangul && codePoint <= lastHangul) return [codePoint];
  const character = String.fromCodePoint(codePoint);
  // Tag characters (U+E0000..U+E007F) carry hidden ASCII to a model; to the rules they are the ASCII they carry.
  if (codePoint >= 0xe0020 && codePoint <= 0xe007e) return [codePoint - 0xe0000];
  if (whiteSpace.test(character)) return character === '\u2028' || character === '\u2029' || character === '\u0085' ? [0x0a] : [0x20];
  const folded: number[] = [];
  for (const part of character.normalize('NFKD')) {
    if (invisible.test(part)) continue;
    const latin = part.codePointAt(0) ?? 0;
    folded.push(homoglyphs.get(latin) ?? latin);
  }
  return folded.length === 0 ? nothing : folded;
}
