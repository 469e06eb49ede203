/** Classes of ASCII code units; everything beyond ASCII is in none of them. */
export const isDigit = (code: number): boolean => code >= 48 && code <= 57;
export const isUpper = (code: number): boolean => code >= 65 && code <= 90;
export const isLower = (code: number): boolean => code >= 97 && code <= 122;
export const isLetter = (code: number): boolean => isUpper(code) || isLower(code);
export const isAlphanumeric = (code: number): boolean => isDigit(code) || isLetter(code);
export const isHex = (code: number): boolean => isDigit(code) || (code >= 65 && code <= 70) || (code >= 97 && code <= 102);
/** base64url with both alphabets' extra characters. */
export const isBase64 = (code: number): boolean => isAlphanumeric(code) || code === 43 || code === 47 || code === 45 || code === 95;

/** A class of ASCII code units as a table: a loop over a text looks it up, where a predicate would be a call for each character. */
export type CharacterClass = Uint8Array;

export function classOf(isIn: (code: number) => boolean): CharacterClass {
  return Uint8Array.from({ length: 128 }, (_, code) => (isIn(code) ? 1 : 0));
}

export const digits = classOf(isDigit);
export const letters = classOf(isLetter);
export const alphanumerics = classOf(isAlphanumeric);
export const hexDigits = classOf(isHex);

/** Offset of the first code unit from `start` on that is not in the class. */
export function endOf(text: string, start: number, within: CharacterClass): number {
  let end = start;
  for (; end < text.length; end += 1) {
    const code = text.charCodeAt(end);
    if (code >= 128 || within[code] !== 1) break;
  }
  return end;
}

export function countDigits(text: string, start: number, end: number): number {
  let count = 0;
  for (let index = start; index < end; index += 1) if (isDigit(text.charCodeAt(index))) count += 1;
  return count;
}
