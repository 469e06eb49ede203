import { classOf, endOf, isBase64, isDigit, isHex, isLetter, isLower, isUpper } from './characters.ts';
import { codeBefore, type ReportMatch, type Run } from './run.ts';

/** Between a name and its value: `": "`, ` = '`, ` is: `. */
const nameDistance = 5;
const contextDistance = 24;
const shortestSecret = 6;
const shortestRandom = 20;
const quotes = new Set(["'".charCodeAt(0), '"'.charCodeAt(0), 96]);
const isValue = (code: number) => code > 32 && code < 127 && !quotes.has(code);
const values = classOf(isValue);
const tokens = classOf((code) => isBase64(code) || code === 61);
const hexAndHyphens = classOf((code) => isHex(code) || code === 45);

/** Values that a word before them calls secret ("api_key=", "password is"), and random strings that nothing else explains. */
export function recogniseGenericSecrets(run: Run, report: ReportMatch): void {
  recogniseNamedSecret(run, report);
  if (run.traits.longestToken < shortestRandom) return;
  const { text } = run;
  for (let start = 0; start < text.length; start += 1) {
    if (!isBase64(text.charCodeAt(start))) continue;
    const end = endOf(text, start, tokens);
    const word = text.slice(start, end);
    if (
      word.length >= shortestRandom &&
      !isBase64(codeBefore(run, start)) &&
      !run.hasContext('not-secret', start, contextDistance) &&
      isRandom(word)
    ) {
      report('secret', start, end, 'entropy');
    }
    start = end;
  }
}

function recogniseNamedSecret(run: Run, report: ReportMatch): void {
  const { text } = run;
  if (!run.mayHaveContext('secret', nameDistance)) return;
  for (let start = 0; start < text.length; start += 1) {
    if (!isValue(text.charCodeAt(start)) || text[start] === ' ') continue;
    const before = codeBefore(run, start);
    const opens = before === -1 || before === 32 || before === 10 || before === 58 || before === 61 || quotes.has(before);
    // Asked before the value is measured: only a few places lie near a name, and the work stays linear.
    if (!opens || !run.hasContext('secret', start, nameDistance)) continue;
    let end = endOf(text, start, values);
    while (end > start && '.,;:!?)'.includes(text[end - 1] ?? '')) end -= 1;
    if (looksSecret(text.slice(start, end))) {
      report('secret', start, end, 'named');
      start = end;
    }
  }
}

/** A word that is called a password is one if it is not an ordinary word, a number or a placeholder. */
function looksSecret(word: string): boolean {
  if (word.length < shortestSecret || /^[<[{$%]/.test(word)) return false;
  const { digits, letters, others } = count(word);
  return digits + letters + others >= shortestSecret && letters > 0 && (digits > 0 || (others > 0 && !/^[a-zA-Z'._/-]+$/.test(word)));
}

/**
 * Digits, both cases, and little repetition. Hexadecimal digests, UUIDs, paths and identifiers made of words are not secret by
 * themselves. 3.5 bits a character is the limit that secret scanners use for short base64; a random one of 24 has 4.2.
 */
function isRandom(word: string): boolean {
  const { digits, upper, lower } = count(word);
  if (digits < 2 || upper < 2 || lower < 2 || endOf(word, 0, hexAndHyphens) === word.length) return false;
  // Shaped like a wallet's address, but its check failed.
  if (/^[13][1-9A-HJ-NP-Za-km-z]{25,34}$/.test(word)) return false;
  const longestWord = word.split(/[^a-z]/).reduce((longest, part) => Math.max(longest, part.length), 0);
  const slashes = word.split('/').length - 1;
  return longestWord < 8 && slashes <= word.length / 16 && entropy(word) >= 3.8;
}

function count(word: string) {
  let digits = 0;
  let letters = 0;
  let upper = 0;
  let lower = 0;
  let others = 0;
  for (let index = 0; index < word.length; index += 1) {
    const code = word.charCodeAt(index);
    if (isDigit(code)) digits += 1;
    else if (!isLetter(code)) others += 1;
    if (isLetter(code)) letters += 1;
    if (isUpper(code)) upper += 1;
    if (isLower(code)) lower += 1;
  }
  return { digits, letters, upper, lower, others };
}

/** Shannon entropy in bits a character. */
function entropy(word: string): number {
  const counts = new Map<string, number>();
  for (const character of word) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const times of counts.values()) bits -= (times / word.length) * Math.log2(times / word.length);
  return bits;
}
