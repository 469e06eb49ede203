import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  compileDenylist,
  createPiiMask,
  createSafetyFilter,
  type PiiMask,
  parseSafetyPolicy,
  readJsonText,
  type TextForm,
} from '../../../layers/safety/index.ts';
import { hostileText, randomCuts } from '../../support/hostile-text.ts';

const masking = { input: 'mask', output: 'flag' };
const filter = createSafetyFilter(parseSafetyPolicy({ pii: masking, secrets: masking }));
const findingsIn = (text: string) => filter.check(text, 'input').verdict.findings;
const hide = (mask: PiiMask, text: string) => mask.hide(text, findingsIn(text));
const hideInJson = (mask: PiiMask, written: string) => {
  const json = readJsonText(written);
  return mask.hideInJson(json, findingsIn(json.text));
};

function restoreInPieces(mask: PiiMask, text: string, cuts: readonly number[], form?: TextForm): string {
  const stream = mask.restoreStream(form);
  const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  const pieces = [0, ...places].map((start, index) => stream.push(text.slice(start, places[index] ?? text.length)));
  const rest = stream.flush();
  expect(stream.heldLength).toBe(0);
  return pieces.join('') + rest;
}

const typed = fc.constantFrom('⟦EMAIL_1⟧', '⟦', '⟧', '⟦ card_2 ⟧', '⟦LITERAL_1⟧', '\\u27e6EMAIL_1\\u27e7');
const text = fc.array(fc.oneof(hostileText, typed), { maxLength: 4 }).map((pieces) => pieces.join(' '));

describe('a mask for values', () => {
  it('gives every text back as it was, also what looks like a placeholder, however the answer is cut', () => {
    fc.assert(
      fc.property(text, randomCuts, (original, cuts) => {
        const mask = createPiiMask(true);
        const hidden = hide(mask, original);
        expect(restoreInPieces(mask, hidden, cuts)).toBe(original);
        expect(mask.restore(hidden)).toBe(original);
      }),
      { numRuns: 300 },
    );
  });

  it('gives JSON back as what it meant, and leaves it JSON on the way', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom('to', 'note', 'phone'), text), randomCuts, fc.boolean(), (value, cuts, isAscii) => {
        const written = isAscii ? escapeNonAscii(JSON.stringify(value)) : JSON.stringify(value);
        const mask = createPiiMask(true);
        const hidden = hideInJson(mask, written);
        expect(() => JSON.parse(hidden)).not.toThrow();
        // A model may repeat it with its brackets escaped, as Python writes JSON.
        for (const repeated of [hidden, escapeNonAscii(hidden)])
          expect(JSON.parse(restoreInPieces(mask, repeated, cuts, 'json'))).toEqual(JSON.parse(written));
      }),
      { numRuns: 300 },
    );
  });

  it('makes a number a string in JSON, where a placeholder cannot stand bare', () => {
    const mask = createPiiMask(true);
    const hidden = hideInJson(mask, '{"card":4111111111111111}');
    expect(JSON.parse(hidden)).toEqual({ card: '⟦CARD_1⟧' });
    expect(mask.restore(hidden, 'json')).toBe('{"card":"4111111111111111"}');
  });

  it('escapes a value where it is put into JSON, and not in prose', () => {
    const pem = '-----BEGIN PRIVATE KEY-----\nMIIEabc\n-----END PRIVATE KEY-----';
    const mask = createPiiMask(true);
    hide(mask, `My key: ${pem}`);
    expect(JSON.parse(mask.restore('{"key":"⟦PRIVATE_KEY_1⟧"}', 'json'))).toEqual({ key: pem });
    expect(mask.restore('It is ⟦PRIVATE_KEY_1⟧.')).toBe(`It is ${pem}.`);
  });

  it('shows the model placeholders only, the same for the same value', () => {
    const mask = createPiiMask(true);
    expect(hide(mask, 'Write to jane@example.com and bob@example.com, then to jane@example.com.')).toBe(
      'Write to ⟦EMAIL_1⟧ and ⟦EMAIL_2⟧, then to ⟦EMAIL_1⟧.',
    );
    expect(hide(mask, 'Card 4111 1111 1111 1111 of jane@example.com')).toBe('Card ⟦CARD_1⟧ of ⟦EMAIL_1⟧');
    expect(mask.size).toBe(3);
  });

  it('does not give back what the policy redacts, also where it overlaps with what is masked', () => {
    const mixed = createSafetyFilter(
      parseSafetyPolicy({
        pii: masking,
        secrets: { input: 'redact', output: 'flag' },
        denylists: { names: { input: 'redact', output: 'flag' } },
      }),
      { denylists: [compileDenylist('names', [{ text: 'write jane' }])] },
    );
    const original = 'key AKIAIOSFODNN7EXAMPLE, write jane@example.com';
    const mask = createPiiMask(true);
    const hidden = mask.hide(original, mixed.check(original, 'input').verdict.findings);
    expect(hidden).toBe('key [API_KEY], [DENYLIST]');
    expect(mask.restore(hidden)).toBe(hidden);
  });

  it('restores placeholders that a model has bent, and no others', () => {
    const mask = createPiiMask(true);
    hide(mask, 'jane@example.com');
    expect(mask.restore('to ⟦ email_1 ⟧, ⟦Email_1⟧, ⟦EMAIL_2⟧ and ⟦')).toBe('to jane@example.com, jane@example.com, ⟦EMAIL_2⟧ and ⟦');
  });

  it('holds nothing until a placeholder opens, and never more than one', () => {
    const mask = createPiiMask(true);
    hide(mask, 'jane@example.com');
    const stream = mask.restoreStream();
    expect(stream.push('Dear [EMAIL_1] ')).toBe('Dear [EMAIL_1] ');
    expect(stream.push('⟦EMA')).toBe('');
    expect(stream.heldLength).toBe(4);
    expect(stream.push('IL_1⟧!')).toBe('jane@example.com!');
    expect(stream.push(`⟦${'x'.repeat(60)}`)).toHaveLength(61);
  });

  it('keeps requests apart', () => {
    const one = createPiiMask(true);
    const other = createPiiMask(true);
    hide(one, 'jane@example.com');
    hide(other, 'bob@example.com');
    expect(other.restore('⟦EMAIL_1⟧')).toBe('bob@example.com');
  });
});

/** As Python's `json.dumps` writes by default. */
function escapeNonAscii(json: string): string {
  return json.replace(/[\u0080-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
