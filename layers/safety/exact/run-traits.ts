/**
 * What a run is made of, counted once. Most values need a number of digits, a sign or a long word: a recogniser whose value cannot be in the run
 * does not look at it, which keeps the work for each character small whatever is repeated.
 */
import { isAlphanumeric, isBase64, isDigit } from './characters.ts';

export interface RunTraits {
  readonly digits: number;
  readonly alphanumerics: number;
  readonly dots: number;
  readonly colons: number;
  readonly hyphens: number;
  readonly hasAt: boolean;
  /** Longest stretch of letters and digits, and of base64 characters with their padding. */
  readonly longestWord: number;
  readonly longestToken: number;
}

const [digitBit, alphanumericBit, tokenBit] = [1, 2, 4];
const bits = new Uint8Array(128);
for (let code = 0; code < 128; code += 1) {
  bits[code] =
    (isDigit(code) ? digitBit : 0) | (isAlphanumeric(code) ? alphanumericBit : 0) | (isBase64(code) || code === 61 ? tokenBit : 0);
}

export function readTraits(text: string): RunTraits {
  let [digits, alphanumerics, dots, colons, hyphens, word, token, longestWord, longestToken] = [0, 0, 0, 0, 0, 0, 0, 0, 0];
  let hasAt = false;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    const is = bits[code] ?? 0;
    if ((is & digitBit) !== 0) digits += 1;
    if ((is & alphanumericBit) !== 0) {
      alphanumerics += 1;
      word += 1;
      if (word > longestWord) longestWord = word;
    } else {
      word = 0;
      if (code === 46) dots += 1;
      else if (code === 58) colons += 1;
      else if (code === 45) hyphens += 1;
      else if (code === 64) hasAt = true;
    }
    if ((is & tokenBit) === 0) token = 0;
    else {
      token += 1;
      if (token > longestToken) longestToken = token;
    }
  }
  return { digits, alphanumerics, dots, colons, hyphens, hasAt, longestWord, longestToken };
}
