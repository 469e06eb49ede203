import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileDenylist, createSafetyFilter, type DenylistEntry, parseSafetyPolicy } from '../../../../layers/safety/index.ts';

const redact = { input: 'redact', output: 'redact' };
const filterOf = (entries: readonly DenylistEntry[]) =>
  createSafetyFilter(
    parseSafetyPolicy({
      pii: { input: 'allow', output: 'allow' },
      secrets: { input: 'allow', output: 'allow' },
      denylists: { words: redact },
    }),
    {
      denylists: [compileDenylist('words', entries)],
    },
  );
const words = (entries: readonly DenylistEntry[], text: string) =>
  filterOf(entries)
    .check(text, 'input')
    .verdict.findings.map(({ start, end }) => text.slice(start, end));

describe('a denylist', () => {
  it('finds every occurrence that a plain search finds, and nothing else', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c', ' '), maxLength: 40 });
    const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.uniqueArray(word, { minLength: 1, maxLength: 6 }), letters, (list, text) => {
        const expected = list.flatMap((entry) => occurrences(text, entry)).sort((a, b) => a[0] - b[0] || b[1] - a[1]);
        const found = filterOf(list.map((entry) => ({ text: entry, match: 'part' })))
          .check(text, 'input')
          .verdict.findings.map(({ start, end }) => [start, end]);
        expect(found).toEqual(expected);
      }),
    );
  });

  it('finds whole words only, unless it is told otherwise', () => {
    expect(words([{ text: 'ass' }], 'pass the class, you ass!')).toEqual(['ass']);
    expect(words([{ text: 'ass', match: 'part' }], 'pass the ass')).toEqual(['ass', 'ass']);
    expect(words([{ text: '機密' }], 'これは機密情報です')).toEqual(['機密']);
  });

  it.each([
    ['case', 'BoMb'],
    ['signs for letters', 'b0mb'],
    ['single letters', 'b o m b'],
    ['dots between letters', 'b.o.m.b'],
    ['signs and single letters', 'b-0-m-b'],
    ['Cyrillic look-alikes', 'bоmb'],
    ['fullwidth letters', 'ｂｏｍｂ'],
    ['mathematical letters', '𝐛𝐨𝐦𝐛'],
    ['zero-width characters', 'b\u200bo\u200dm\ufeffb'],
    ['combining marks', 'b\u0336o\u0336m\u0336b'],
    ['tag characters', 'b\u{e006f}mb'],
  ])('sees through %s', (_, disguised) => {
    expect(filterOf([{ text: 'bomb' }]).check(`a ${disguised} here`, 'input').redactedText).toBe('a [DENYLIST] here');
  });

  it('takes 1 for i and for l, and only where the entry has that letter', () => {
    expect(words([{ text: 'kill' }], 'k1ll ki11 kiil')).toEqual(['k1ll', 'ki11']);
  });

  it('matches phrases over any white space', () => {
    expect(words([{ text: 'kill yourself' }], 'go kill \n  yourself now')).toEqual(['kill \n  yourself']);
  });

  it('refuses entries that nothing can match', () => {
    expect(() => compileDenylist('words', [{ text: ' \u200b ' }])).toThrow(
      'Entry 0 of denylist words must have 1 to 256 visible characters.',
    );
  });
});

function occurrences(text: string, entry: string): [number, number][] {
  const found: [number, number][] = [];
  // White space counts as one character however long it is, but no entry here has any.
  for (let at = text.indexOf(entry); at >= 0; at = text.indexOf(entry, at + 1)) found.push([at, at + entry.length]);
  return found;
}
