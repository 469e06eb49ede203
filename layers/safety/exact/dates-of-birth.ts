import { digits, endOf, isAlphanumeric, isDigit, isLetter, letters } from './characters.ts';
import { codeBefore, type ReportMatch, type Run } from './run.ts';

export const birthContextDistance = 48;

const monthNames = [
  'january',
  'february',
  'march',
  'april',
  'may',
  'june',
  'july',
  'august',
  'september',
  'october',
  'november',
  'december',
];

const months = new Map(monthNames.flatMap((name, index) => [name, name.slice(0, 3), name.slice(0, 4)].map((form) => [form, index + 1])));

/** 1 to 12 for the name of a month or its first three or four letters, else 0. */
export function monthOf(word: string): number {
  return months.get(word.toLowerCase()) ?? 0;
}

interface Part {
  readonly start: number;
  readonly end: number;
  readonly value: number;
  readonly isName: boolean;
}

/** A full date (year, month and day in any order) after a word such as "born" or "DOB". Other dates are not personal data. */
export function recogniseDatesOfBirth(run: Run, report: ReportMatch): void {
  if (!run.mayHaveContext('birth', birthContextDistance)) return;
  const parts = partsOf(run.text);
  for (let index = 0; index + 2 < parts.length; index += 1) {
    const [first, second, third] = parts.slice(index, index + 3);
    if (first === undefined || second === undefined || third === undefined) return;
    if (isAlphanumeric(codeBefore(run, first.start)) || !isDate(first, second, third)) continue;
    if (second.start - first.end > 3 || third.start - second.end > 3) continue;
    if (!run.hasContext('birth', first.start, birthContextDistance)) continue;
    report('date_of_birth', first.start, third.end, 'date');
    index += 2;
  }
}

function partsOf(text: string): Part[] {
  const parts: Part[] = [];
  for (let start = 0; start < text.length; start += 1) {
    if (isDigit(text.charCodeAt(start))) {
      const digitsEnd = endOf(text, start, digits);
      const end = /^(st|nd|rd|th)(?![a-z])/i.test(text.slice(digitsEnd, digitsEnd + 3)) ? digitsEnd + 2 : digitsEnd;
      parts.push({ start, end, value: digitsEnd - start <= 4 ? Number(text.slice(start, digitsEnd)) : 0, isName: false });
      start = end - 1;
    } else if (isLetter(text.charCodeAt(start))) {
      const end = endOf(text, start, letters);
      parts.push({ start, end, value: monthOf(text.slice(start, end)), isName: true });
      start = end - 1;
    }
  }
  return parts;
}

function isDate(first: Part, second: Part, third: Part): boolean {
  const isDay = (part: Part) => !part.isName && part.value >= 1 && part.value <= 31;
  const isMonth = (part: Part) => part.value >= 1 && part.value <= 12;
  const isYear = (part: Part) => !part.isName && ((part.value >= 1900 && part.value <= 2100) || part.end - part.start === 2);
  if (isYear(first) && first.value >= 1900) return isMonth(second) && isDay(third);
  if (!isYear(third)) return false;
  return (isDay(first) && isMonth(second)) || (isMonth(first) && isDay(second));
}
