import { createRandom } from './examples.ts';

export interface LongText {
  readonly text: string;
  readonly isBad: boolean;
}

/** So many texts of forty benign sentences; every second one with an attack somewhere inside. */
export function hideAttacks(benign: readonly string[], attacks: readonly string[], count = 400): LongText[] {
  const random = createRandom(11);
  return Array.from({ length: count }, (_, index) => {
    const start = Math.floor(random() * (benign.length - 41));
    const sentences = benign.slice(start, start + 40);
    const isBad = index % 2 === 0;
    if (isBad) sentences.splice(Math.floor(random() * 40), 0, `${attacks[(index / 2) % attacks.length]}.`);
    return { text: sentences.join(' '), isBad };
  });
}
