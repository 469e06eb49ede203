/** Digits and signs that stand for letters inside words ("sh1t", "@ss"). `1`, `!` and `|` stand for two letters. */
const readings: Readonly<Record<string, string>> = {
  '0': 'o',
  '1': 'il',
  '3': 'e',
  '4': 'a',
  '5': 's',
  '7': 't',
  '8': 'b',
  '9': 'g',
  '@': 'a',
  $: 's',
  '!': 'il',
  '|': 'il',
  '+': 't',
  '€': 'e',
  '£': 'l',
};

/** Every reading of a sign. */
const lettersOf = new Map<number, readonly number[]>(
  Object.entries(readings).map(([sign, letters]) => [sign.charCodeAt(0), [...letters].map((letter) => letter.charCodeAt(0))]),
);
/** The first one by the sign's code, zero for anything else. */
const firstLetters = new Uint8Array(Math.max(...lettersOf.keys()) + 1);
for (const [sign, [letter = 0]] of lettersOf) firstLetters[sign] = letter;
const letterI = 105;
const letterL = 108;

/** The letter that a sign most often stands for, 0 for anything else. */
export function leetLetter(code: number): number {
  return code < firstLetters.length ? (firstLetters[code] ?? 0) : 0;
}

/** Whether `code` may be read as `letter`. */
export function isReadAs(code: number, letter: number): boolean {
  return code === letter || lettersOf.get(code)?.includes(letter) === true;
}

/** One code for all that may be read alike: signs as their letter, and `l` as `i`, because `1` may be either. */
export function leetClass(code: number): number {
  return code === letterL ? letterI : leetLetter(code) || code;
}
