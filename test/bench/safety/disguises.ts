/** The usual ways round a filter. Each keeps a text readable. */
import { createRandom } from '../../../models/safety/examples.ts';

const homoglyphs: Readonly<Record<string, string>> = { a: 'а', c: 'с', e: 'е', i: 'і', o: 'о', p: 'р', s: 'ѕ', x: 'х', y: 'у' };
const leet: Readonly<Record<string, string>> = { a: '4', e: '3', i: '1', o: '0', s: '5', t: '7' };
const each = (text: string, change: (character: string, index: number) => string) => [...text].map(change).join('');
const isLetter = (character: string) => /[a-z]/i.test(character);

export const disguises: Readonly<Record<string, (text: string) => string>> = {
  'zero-width': (text) => each(text, (character) => (isLetter(character) ? `${character}\u200b` : character)),
  homoglyph: (text) => each(text, (character) => homoglyphs[character] ?? character),
  fullwidth: (text) =>
    each(text, (character) => (/[!-~]/.test(character) ? String.fromCharCode(character.charCodeAt(0) + 0xfee0) : character)),
  mathematical: (text) =>
    each(text, (character) => (/[a-z]/.test(character) ? String.fromCodePoint(0x1d41a + character.charCodeAt(0) - 97) : character)),
  combining: (text) => each(text, (character) => (isLetter(character) ? `${character}\u0336` : character)),
  case: (text) => each(text, (character, index) => (index % 2 === 0 ? character.toUpperCase() : character.toLowerCase())),
  leet: (text) => {
    const random = createRandom(5);
    return each(text, (character) => (random() < 0.5 ? (leet[character] ?? character) : character));
  },
  spacing: (text) =>
    text
      .split(' ')
      .map((word) => (word.length > 3 ? [...word].join(' ') : word))
      .join('  '),
};
