import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPiiMask, createSafetyFilter, parseSafetyPolicy, piiKinds, secretKinds } from '../../../layers/safety/index.ts';
import { hostileText, randomCuts } from '../../support/hostile-text.ts';

const filter = createSafetyFilter(parseSafetyPolicy({}));
const kinds = [...piiKinds, ...secretKinds];

describe('a mask for personal data', () => {
  it('gives every text back as it was, also what looks like a placeholder, however the answer is cut', () => {
    const typed = fc.constantFrom('⟦EMAIL_1⟧', '⟦', '⟧', '⟦ card_2 ⟧', '⟦LITERAL_1⟧');
    fc.assert(
      fc.property(fc.array(fc.oneof(hostileText, typed), { maxLength: 4 }), randomCuts, (pieces, cuts) => {
        const text = pieces.join(' ');
        const mask = createPiiMask(filter, kinds);
        const masked = mask.mask(text);
        const stream = mask.restoreStream();
        const places = [...new Set(cuts.map((cut) => cut % (masked.length + 1)))].sort((a, b) => a - b);
        const restored =
          [0, ...places].map((start, index) => stream.push(masked.slice(start, places[index] ?? masked.length))).join('') + stream.flush();
        expect(restored).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  it('shows the model placeholders only, the same for the same value', () => {
    const mask = createPiiMask(filter, kinds);
    expect(mask.mask('Write to jane@example.com and bob@example.com, then to jane@example.com.')).toBe(
      'Write to ⟦EMAIL_1⟧ and ⟦EMAIL_2⟧, then to ⟦EMAIL_1⟧.',
    );
    expect(mask.mask('Card 4111 1111 1111 1111 of jane@example.com')).toBe('Card ⟦CARD_1⟧ of ⟦EMAIL_1⟧');
    expect(mask.size).toBe(3);
  });

  it('restores placeholders that a model has bent, and no others', () => {
    const mask = createPiiMask(filter, kinds);
    mask.mask('jane@example.com');
    expect(mask.restore('to ⟦ email_1 ⟧, ⟦Email_1⟧, ⟦EMAIL_2⟧ and ⟦')).toBe('to jane@example.com, jane@example.com, ⟦EMAIL_2⟧ and ⟦');
  });

  it('holds nothing until a placeholder opens, and never more than one', () => {
    const mask = createPiiMask(filter, kinds);
    mask.mask('jane@example.com');
    const stream = mask.restoreStream();
    expect(stream.push('Dear [EMAIL_1] ')).toBe('Dear [EMAIL_1] ');
    expect(stream.push('⟦EMA')).toBe('');
    expect(stream.push('IL_1⟧!')).toBe('jane@example.com!');
    expect(stream.push(`⟦${'x'.repeat(60)}`)).toHaveLength(61);
  });

  it('keeps requests apart', () => {
    const one = createPiiMask(filter, kinds);
    const other = createPiiMask(filter, kinds);
    one.mask('jane@example.com');
    other.mask('bob@example.com');
    expect(other.restore('⟦EMAIL_1⟧')).toBe('bob@example.com');
  });

  it('masks only the kinds that it is asked to', () => {
    expect(createPiiMask(filter, ['card']).mask('jane@example.com 4111111111111111')).toBe('jane@example.com ⟦CARD_1⟧');
  });
});
