import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RunTracker, windowLength } from '../../../../layers/safety/exact/run-tracker.ts';
import { FoldedText } from '../../../../layers/safety/text/folded-text.ts';

/** Characters that the recognisers are shown, and how often. */
function track(text: string) {
  let shown = 0;
  let longest = 0;
  const folded = new FoldedText();
  const ignore = () => undefined;
  const tracker = new RunTracker(
    folded,
    [
      (run) => {
        shown += run.text.length;
        longest = Math.max(longest, run.text.length);
      },
    ],
    { found: ignore, opened: ignore, closed: ignore },
  );
  for (let index = 0; index < text.length; index += 1) {
    folded.push(text.charCodeAt(index));
    tracker.advance(index, folded.at(index));
  }
  tracker.end();
  return { shown, longest };
}

describe('a run tracker', () => {
  it('shows no character more than twice and no run longer than a window, whatever is repeated', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, maxLength: 4, unit: fc.constantFrom(...'aA1-+.@: ()/=') }), (piece) => {
        const text = piece.repeat(Math.ceil(20_000 / piece.length));
        const { shown, longest } = track(text);
        expect(shown).toBeLessThanOrEqual(2 * text.length + windowLength);
        expect(longest).toBeLessThanOrEqual(windowLength);
      }),
      { numRuns: 40 },
    );
  });

  it('does not show plain words at all', () => {
    expect(track('Nothing to see here, only words and more words.').shown).toBeLessThan(12);
  });
});
