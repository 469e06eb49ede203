import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { compileDenylist, createSafetyFilter, parseSafetyPolicy } from '../../../layers/safety/index.ts';
import { type StepCounter, startStepCounter } from '../../support/count-steps.ts';

const redact = { input: 'redact', output: 'redact' };
const filter = createSafetyFilter(
  parseSafetyPolicy({ pii: redact, secrets: redact, denylists: { words: redact }, phoneCountries: ['US', 'GB', 'DE', 'FR'] }),
  { denylists: [compileDenylist('words', [{ text: 'bomb' }, { text: 'kill yourself' }])] },
);

/** Single characters of every class, and what begins a value of some recogniser. */
const pieces = [
  ...'0123456789abfzAMZ .,:;-_+/@=()[]{}"\'`%#&!\n\t',
  ...['é', '機', '😀', '\u0301', 'ｆ', 'а'],
  ...['12', '123', '1234', '+1', '+49', '://', '::', 'GB8', '0x', 'bc1', 'AKIA', 'sk-', 'ghp_', 'xoxb-', 'glpat-', 'eyJ', 'pat'],
  ...['key=', 'ssn ', 'nhs ', 'bsn ', 'born ', 'call ', 'hook', 'bomb', 'b o', '-----BEGIN '],
];
const pattern = fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
const repeat = (text: string, length: number) => text.repeat(Math.ceil(length / text.length));
/** A step takes some two nanoseconds: 100 kB under 50 ms are 250 steps for each character. */
const mostSteps = 250;

describe('the exact rules on a repeated pattern', () => {
  let steps: StepCounter;
  beforeAll(() => {
    steps = startStepCounter('/layers/safety/');
  });
  afterAll(() => steps.stop());

  it('take a bounded number of steps for each character, and no more of them in a long text than in a short one', () => {
    const stepsOf = (text: string) => steps.count(() => filter.check(text, 'input'));
    stepsOf(repeat('warm-up 1234 ', 2000));
    fc.assert(
      fc.property(pattern, (piece) => {
        const [short, long] = [repeat(piece, 500), repeat(piece, 4000)];
        const counted = stepsOf(long);
        expect(counted / long.length).toBeLessThan(mostSteps);
        // Eight times the text is 8 times the steps where they grow with it, and 64 where they grow with its square.
        // V8 loses or adds some tens per cent of the counts when it compiles a function anew, hence the wide gap to 8.
        expect(counted / stepsOf(short)).toBeLessThan(20);
      }),
      { numRuns: 50 },
    );
  });

  it.each(['12 ', '/22', 'M.', 'eyJ-', 'sk-', 'glpat-', 'xoxb-', '128-', '1.2.3.4 '])(
    'takes few steps on %j, which was slow once',
    (piece) => {
      const text = repeat(piece, 3000);
      expect(steps.count(() => filter.check(text, 'input')) / text.length).toBeLessThan(mostSteps);
    },
  );
});
