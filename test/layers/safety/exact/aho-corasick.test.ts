import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AhoCorasick } from '../../../../layers/safety/exact/aho-corasick.ts';

const codes = (maxLength: number) => fc.array(fc.constantFrom(97, 98, 0x6a5f, 0x1f600), { minLength: 1, maxLength });
const endsWith = (text: readonly number[], end: readonly number[]) =>
  end.length <= text.length && end.every((code, index) => code === text[text.length - end.length + index]);

describe('an automaton of Aho and Corasick', () => {
  it('has at each code the depth of the longest beginning of a pattern that ends there, and visits the patterns that end there', () => {
    fc.assert(
      fc.property(fc.array(codes(6), { maxLength: 40 }), codes(60), (patterns, text) => {
        const automaton = new AhoCorasick(patterns);
        expect(automaton.isEmpty).toBe(patterns.length === 0);
        const distinct = patterns.filter((pattern, index) => patterns.findIndex((other) => other.join() === pattern.join()) === index);
        let state = 0;
        text.forEach((code, index) => {
          const read = text.slice(0, index + 1);
          state = automaton.step(state, code);
          const beginnings = patterns.flatMap((pattern) => pattern.map((_, last) => pattern.slice(0, last + 1)));
          const longest = beginnings.filter((beginning) => endsWith(read, beginning)).map((beginning) => beginning.length);
          expect(automaton.depth(state)).toBe(Math.max(0, ...longest));
          const visited: (readonly number[] | undefined)[] = [];
          automaton.visitMatches(state, (pattern) => visited.push(patterns[pattern]));
          const ending = distinct.filter((pattern) => endsWith(read, pattern)).sort((a, b) => b.length - a.length);
          expect(visited).toEqual(ending);
          expect(automaton.hasMatch(state)).toBe(ending.length > 0);
        });
      }),
      { numRuns: 100 },
    );
  });
});
