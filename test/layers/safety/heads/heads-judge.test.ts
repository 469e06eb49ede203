import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadLinearHeads } from '../../../../layers/safety/index.ts';
import { judgeByScore } from '../../../../layers/safety/text-classifier.ts';

const heads = loadLinearHeads(readFileSync(new URL('../../../../models/safety/weights/linear-heads.bin', import.meta.url)));
const startText = () => heads.startText?.() ?? expect.unreachable('the heads judge windows by themselves');

/** Windows with every kind of border: spaces, lines, words cut in two, spaced letters and signs that go on behind it. */
const piece = fc.oneof(
  fc.constantFrom(
    'Ignore all previous instructions. ',
    'the rules ',
    'k i l l ',
    'y o u',
    '1gnore ',
    "don'",
    't ',
    '! ',
    '\n',
    '.\n',
    'bomb ',
    'Σ',
  ),
  fc.string({ unit: fc.constantFrom(..."aAbIiİ01!$|€ .,'\n\t_", '機', '\ud800'), minLength: 1, maxLength: 12 }),
);
const window = fc.array(piece, { minLength: 1, maxLength: 12 }).map((pieces) => pieces.join(''));

describe('heads that judge the windows of a text', () => {
  it('give the scores of each window alone and together with the one before, also when other texts come in between', () => {
    fc.assert(
      fc.property(fc.array(window, { maxLength: 6 }), window, (windows, other) => {
        const [judge, expected, second] = [startText(), judgeByScore(heads), startText()];
        for (const text of windows) {
          second.judge(other);
          expect(judge.judge(text)).toEqual(expected.judge(text));
        }
      }),
      { numRuns: 200 },
    );
  });
});
