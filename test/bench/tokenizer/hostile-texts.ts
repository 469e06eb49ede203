/** Texts without a place to cut, of a given length. */
import { createRandom } from '../../layers/tokenizer/fuzz-text.ts';

const letters = 'abcdefghijklmnopqrstuvwxyz';
const common = '的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可她里后';

export const HOSTILE_TEXTS: Readonly<Record<string, (length: number) => string>> = {
  a: (length) => 'a'.repeat(length),
  spaces: (length) => ' '.repeat(length),
  '^': (length) => '^'.repeat(length),
  hyphens: (length) => '-'.repeat(length),
  'random letters': (length) => randomRun(length, letters),
  base64: (length) => randomRun(length, `${letters}${letters.toUpperCase()}0123456789+/`),
  ideographs: (length) => randomRun(length, common),
  'one ideograph': (length) => '的'.repeat(length),
  mixed: (length) => randomRun(length, `${letters}${common}-_=😀é'`),
};

function randomRun(length: number, alphabet: string): string {
  const random = createRandom(3);
  const characters = [...alphabet];
  let text = '';
  while (text.length < length) text += characters[Math.floor(random() * characters.length)];
  return text;
}
