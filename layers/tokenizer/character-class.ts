/**
 * The character classes that pre-tokenizers tell apart, by Unicode 16.0, which the reference tokenizers use. They are kept in each
 * vocabulary file, so that a token's borders never depend on the Unicode version of the machine that compiles or encodes.
 */
import { UNICODE_16_CLASSES } from './unicode-16-classes.ts';

export const CharacterClass = {
  /** Controls, formats, private and unassigned. */
  other: 0,
  punctuation: 1,
  symbol: 2,
  mark: 3,
  /** `White_Space`, as Rust and Python have it (with U+0085, without U+FEFF), but for CR and LF. */
  space: 4,
  newline: 5,
  number: 6,
  /** Lu and Lt. */
  upper: 7,
  lower: 8,
  /** Lm and Lo. */
  caseless: 9,
} as const;

/** The letters of `UNICODE_16_CLASSES`, by class. */
const RUN_LETTERS = 'OPSMZLNUDC';
const BLOCK = 256;

/** Two stages: `blocks[codePoint >> 8]` names a row of 256 classes. Row 0 is U+0000 to U+00FF. */
export interface CharacterClasses {
  readonly blocks: Uint8Array;
  readonly rows: Uint8Array;
}

/** @param numbers further code points that count as numbers. */
export function buildCharacterClasses(numbers: readonly number[] = []): CharacterClasses {
  const classes = new Uint8Array(0x110000);
  let codePoint = 0;
  for (const [, letter = '', length = ''] of UNICODE_16_CLASSES.matchAll(/([A-Z])([0-9a-z]+)/g)) {
    const end = codePoint + Number.parseInt(length, 36);
    classes.fill(RUN_LETTERS.indexOf(letter), codePoint, end);
    codePoint = end;
  }
  for (const number of numbers) classes[number] = CharacterClass.number;
  const blocks = new Uint8Array(classes.length / BLOCK);
  const rows: Uint8Array[] = [];
  const rowNumbers = new Map<string, number>();
  for (let block = 0; block < blocks.length; block++) {
    const row = classes.subarray(block * BLOCK, (block + 1) * BLOCK);
    const key = row.join();
    let number = rowNumbers.get(key);
    if (number === undefined) {
      number = rows.push(row) - 1;
      rowNumbers.set(key, number);
    }
    blocks[block] = number;
  }
  const flat = new Uint8Array(rows.length * BLOCK);
  for (const [number, row] of rows.entries()) flat.set(row, number * BLOCK);
  return { blocks, rows: flat };
}
