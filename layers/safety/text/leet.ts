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

const lettersOf = new Map<number, readonly number[]>(
  Object.entries(readings).map(([sign, letters]) => [sign.charCodeAt(0), [...letters].map((letter) => letter.charCodeAt(0))]),
);
const letterI = 105;
const letterL = 108;

/** The letter that a sign most often stands for, `undefined` for anything else. */
export function leetLetter(code: number): number | undefined {
  return lettersOf.get(code)?.[0];
}

/** Whether `code` may be read as `letter`. */
export function isReadAs(code: number, letter: number): boolean {
  return code === letter || lettersOf.get(code)?.includes(letter) === true;
}

/** One code for all that may be read alike: signs as their letter, and `l` as `i`, because `1` may be either. */
export function leetClass(code: number): number {
  return code === letterL ? letterI : (leetLetter(code) ?? code);
}
