import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compileDenylist,
  createSafetyFilter,
  type Direction,
  parseSafetyPolicy,
  type SafetyFilter,
} from '../../../../layers/safety/index.ts';
import { hostileText, randomCuts } from '../../../support/hostile-text.ts';

const denylist = compileDenylist('words', [
  { text: 'bomb' },
  { text: 'bomber jacket' },
  { text: 'kill yourself' },
  { text: 'abab', match: 'part' },
  { text: '機密' },
  { text: 'ﬁre' },
]);

/** Blocks windows with one made-up word and comes near its threshold at another. */
const markClassifier = {
  name: 'marks',
  thresholds: { violence: 0.9 },
  score: (text: string) => ({ violence: text.includes('zxqz') ? 0.95 : text.includes('zxq') ? 0.7 : 0.1 }),
};

const filters: Readonly<Record<string, SafetyFilter>> = {
  'redacts everything': filterOf({ pii: both('redact'), secrets: both('redact'), denylists: { words: both('redact') } }),
  'blocks secrets and redacts the rest': filterOf({ pii: both('redact'), secrets: both('block'), denylists: { words: both('redact') } }),
  'blocks denied words and flags the rest': filterOf({ pii: both('flag'), secrets: both('flag') }),
  'only observes': filterOf({ dryRun: true, pii: both('block'), secrets: both('block'), categories: { violence: both('block') } }),
  'holds windows': filterOf({ streaming: 'hold', pii: both('redact'), categories: { violence: both('block') } }),
  'cuts at a verdict': filterOf({ streaming: 'cut', pii: both('redact'), categories: { violence: both('block') } }),
  'leaves windows alone': filterOf({ streaming: 'off', pii: both('redact'), categories: { violence: both('block') } }),
};

describe.each(Object.entries(filters))('a filter that %s', (_, filter) => {
  it('releases the same text for every chunking, and verdicts agree', () => {
    fc.assert(
      fc.property(hostileText, randomCuts, (text, cuts) => {
        const whole = stream(filter, [text]);
        const cut = stream(filter, cutInto(text, cuts));
        expect(cut.released.join('')).toBe(whole.released.join(''));
        expect(cut.verdict).toEqual(whole.verdict);
      }),
      { numRuns: 300 },
    );
  });

  it('has released after each unit what it would have released of that much text in one piece', () => {
    fc.assert(
      fc.property(hostileText, fc.nat(), (text, place) => {
        const end = place % (text.length + 1);
        const byUnit = filter.stream('output');
        let released = '';
        for (let index = 0; index < end; index += 1) released += byUnit.push(text[index] ?? '').released;
        expect(filter.stream('output').push(text.slice(0, end)).released).toBe(released);
      }),
      { numRuns: 150 },
    );
  });
});

describe('a filter that blocks nothing', () => {
  it.each(['input', 'output'] satisfies Direction[])('releases on a stream what a check of the whole text gives (%s)', (direction) => {
    fc.assert(
      fc.property(hostileText, randomCuts, (text, cuts) => {
        const filter = filters['redacts everything'];
        const streamed = filter === undefined ? undefined : stream(filter, cutInto(text, cuts), direction);
        const checked = filter?.check(text, direction);
        expect(streamed?.released.join('')).toBe(checked?.redactedText);
        expect(streamed?.verdict?.findings).toEqual(checked?.verdict.findings);
      }),
      { numRuns: 300 },
    );
  });

  it('loses and invents nothing where nothing is found', () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom('a', 'é', '機', '😀', '\ud800', '\udc00', '\u200b', '\u0301', ' ', '\n', '-') })),
        (pieces) => {
          const filter = filterOf({ pii: both('redact'), secrets: both('redact') });
          expect(stream(filter, pieces).released.join('')).toBe(pieces.join(''));
        },
      ),
    );
  });
});

describe('what a stream holds', () => {
  it('is at most a window of 512 folded characters, whatever arrives', () => {
    const filter = filterOf({ pii: both('redact'), secrets: both('redact'), denylists: { words: both('redact') } });
    fc.assert(
      fc.property(
        fc.constantFrom('a', '1', '1-', 'a.', '@', 'a@', '-', '1 ', '12 ', 'A1b2', '://', ':', '+'),
        fc.integer({ min: 600, max: 3000 }),
        (piece, times) => {
          const one = filter.stream('output');
          let most = 0;
          for (let index = 0; index < times; index += 1) {
            one.push(piece);
            most = Math.max(most, one.heldLength);
          }
          expect(most).toBeLessThanOrEqual(512);
        },
      ),
      { numRuns: 60 },
    );
  });

  it('is the last word in prose, and nothing where only words of a denylist are looked for', () => {
    const filter = filterOf({ pii: both('redact'), secrets: both('flag') });
    const one = filter.stream('output');
    expect(one.push('Nothing to see he').released).toBe('Nothing to see ');
    expect(one.push('re, move').released).toBe('here, ');
    const words = filterOf({ pii: both('flag'), secrets: both('flag') }).stream('output');
    expect(words.push('a quiet place, ki').released).toBe('a quiet place, ');
    expect(words.push('te').released).toBe('kite');
  });
});

function both<T extends string>(action: T): { input: T; output: T } {
  return { input: action, output: action };
}

function filterOf(settings: object): SafetyFilter {
  return createSafetyFilter(parseSafetyPolicy(settings), { denylists: [denylist], classifier: markClassifier });
}

function stream(filter: SafetyFilter, pieces: readonly string[], direction: Direction = 'output') {
  const one = filter.stream(direction);
  const pushed = pieces.map((piece) => one.push(piece));
  const flushed = one.flush();
  return { released: [...pushed, flushed].map((step) => step.released), verdict: flushed.verdict };
}

function cutInto(text: string, cuts: readonly number[]): string[] {
  const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((start, index) => text.slice(start, places[index] ?? text.length));
}
