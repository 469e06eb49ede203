/**
 * The character classes that pre-tokenizers tell apart. They are computed when a vocabulary is compiled and kept in its file, so that a
 * token's borders never depend on the Unicode version of the machine that encodes.
 */
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

const patterns: readonly (readonly [RegExp, number])[] = [
  [/[\r\n]/u, CharacterClass.newline],
  [/\p{White_Space}/u, CharacterClass.space],
  [/[\p{Lu}\p{Lt}]/u, CharacterClass.upper],
  [/\p{Ll}/u, CharacterClass.lower],
  [/\p{L}/u, CharacterClass.caseless],
  [/\p{N}/u, CharacterClass.number],
  [/\p{M}/u, CharacterClass.mark],
  [/\p{P}/u, CharacterClass.punctuation],
  [/\p{S}/u, CharacterClass.symbol],
];

const BLOCK = 256;

/** Two stages: `blocks[codePoint >> 8]` names a row of 256 classes. */
export interface CharacterClasses {
  readonly blocks: Uint8Array;
  readonly rows: Uint8Array;
}

/** Classes of all code points by the Unicode version of the running machine. */
export function computeCharacterClasses(): CharacterClasses {
  const blocks = new Uint8Array(0x110000 / BLOCK);
  const rows: Uint8Array[] = [];
  const rowNumbers = new Map<string, number>();
  for (let block = 0; block < blocks.length; block++) {
    const row = new Uint8Array(BLOCK);
    for (let low = 0; low < BLOCK; low++) row[low] = classify(block * BLOCK + low);
    const key = row.join();
    let number = rowNumbers.get(key);
    if (number === undefined) {
      number = rows.push(row) - 1;
      rowNumbers.set(key, number);
    }
    blocks[block] = number;
  }
  if (rows.length > 256) throw new Error(`Unicode has become too varied for one byte a block: ${rows.length} rows.`);
  const flat = new Uint8Array(rows.length * BLOCK);
  for (const [number, row] of rows.entries()) flat.set(row, number * BLOCK);
  return { blocks, rows: flat };
}

function classify(codePoint: number): number {
  if (codePoint >= 0xd800 && codePoint <= 0xdfff) return CharacterClass.other;
  const character = String.fromCodePoint(codePoint);
  return patterns.find(([pattern]) => pattern.test(character))?.[1] ?? CharacterClass.other;
}
