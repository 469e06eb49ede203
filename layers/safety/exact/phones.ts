import { type CountryCode, parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { classOf, countDigits, endOf, isAlphanumeric, isDigit } from './characters.ts';
import { codeBefore, type Recogniser, type Run } from './run.ts';

const contextDistance = 32;
/** E.164 allows fifteen digits; the shortest national numbers with an area code have seven. */
const fewestDigits = 7;
const mostDigits = 15;
/** Longer rows of digit groups are tables. The limit also bounds how often libphonenumber is asked about one row. */
const mostDigitsInRow = 40;

const isPhoneCharacter = (code: number) =>
  isDigit(code) || code === 32 || code === 45 || code === 46 || code === 40 || code === 41 || code === 43 || code === 47;
const phoneCharacters = classOf(isPhoneCharacter);

/**
 * Phone numbers that libphonenumber calls valid: international ones anywhere, national ones of `countries` when they are written in groups
 * or when a word such as "call" stands before them.
 */
export function createPhoneRecogniser(countries: readonly string[]): Recogniser {
  // libphonenumber-js types countries as a union of literals; policies are checked against its list when they are parsed.
  const known = countries as readonly CountryCode[];
  return (run, report) => {
    const { text } = run;
    if (run.traits.digits < fewestDigits) return;
    let rowEnd = 0;
    let isTable = false;
    for (let start = 0; start < text.length; start += 1) {
      const code = text.charCodeAt(start);
      if (code !== 43 && code !== 40 && !isDigit(code)) continue;
      const before = codeBefore(run, start);
      if (start >= rowEnd) {
        rowEnd = endOf(text, start, phoneCharacters);
        isTable = countDigits(text, start, rowEnd) > mostDigitsInRow;
      }
      if (isTable || rowEnd - start < fewestDigits) {
        start = isTable ? rowEnd : rowEnd - 1;
        continue;
      }
      const stretch = phoneStretch(text, start);
      if (isAlphanumeric(before) || before === 46 || before === 45 || before === 95 || before === 47 || before === 61) {
        start = stretch.groupEnd - 1;
        continue;
      }
      const found = findPhone(text, start, stretch.ends, (candidate) => {
        if (candidate[0] !== '+' && isPartOfRow(text, start, start + candidate.length)) return false;
        if (candidate[0] === '+') return isValid(run, candidate, () => parsePhoneNumberFromString(candidate)?.isValid() === true);
        const isGrouped = /[ .()-]/.test(candidate.slice(1)) && countDigits(candidate, 0, candidate.length) >= 9;
        if (!isGrouped && !run.hasContext('phone', start, contextDistance)) return false;
        return isValid(run, candidate, () => known.some((country) => parsePhoneNumberFromString(candidate, country)?.isValid() === true));
      });
      if (found > 0) report('phone', start, found, 'phone');
      start = (found > 0 ? found : stretch.groupEnd) - 1;
    }
  };
}

/** libphonenumber takes some microseconds; a text that repeats a number asks it once. */
function isValid(run: Run, candidate: string, check: () => boolean): boolean {
  const answer = run.answers.get(candidate) ?? check();
  run.answers.set(candidate, answer);
  return answer;
}

/** Where a number that begins at `start` could end: at the end of each group of digits; and the end of the first group. */
function phoneStretch(text: string, start: number): { ends: number[]; groupEnd: number } {
  const ends: number[] = [];
  let digits = 0;
  for (let index = start; index < text.length && digits <= mostDigits; index += 1) {
    const code = text.charCodeAt(index);
    if (!isPhoneCharacter(code) || (code === 43 && index > start)) break;
    if (!isDigit(code)) continue;
    digits += 1;
    if (!isDigit(text.charCodeAt(index + 1)) && !isAlphanumeric(text.charCodeAt(index + 1))) ends.push(index + 1);
  }
  return { ends, groupEnd: ends[0] ?? start + 1 };
}

/** "3945 9753" is no number in "5158 3945 9753 3628": the row of groups goes on, before or behind, with the same separator. */
function isPartOfRow(text: string, start: number, end: number): boolean {
  let first = start;
  while (first < end && isDigit(text.charCodeAt(first))) first += 1;
  let last = end - 1;
  while (last > start && isDigit(text.charCodeAt(last))) last -= 1;
  const goesOnBefore = start > 1 && text[start - 1] === text[first] && isDigit(text.charCodeAt(start - 2));
  return goesOnBefore || (end < text.length && text[end] === text[last] && isDigit(text.charCodeAt(end + 1)));
}

/** The longest candidate that is a number, 0 when none is. At most fifteen candidates of at most some thirty characters. */
function findPhone(text: string, start: number, ends: readonly number[], isPhone: (candidate: string) => boolean): number {
  for (const end of [...ends].reverse()) {
    const candidate = text.slice(start, end);
    const digits = countDigits(candidate, 0, candidate.length);
    if (digits < fewestDigits || digits > mostDigits || candidate.length > 32) continue;
    // Dates ("2024-01-15 10") and decimals ("1.5 2.5") are not phone numbers whatever their digits say.
    if (/^\(?\d{4}-\d{2}-\d{2}/.test(candidate) || /^\d{1,2}[./]\d{1,2}[./]\d{4}/.test(candidate)) continue;
    if (isPhone(candidate)) return end;
  }
  return 0;
}
