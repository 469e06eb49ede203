import { describe, expect, it } from 'vitest';
import { explainFileError, SentenceError } from '../../../models/local/sentence-error.ts';

describe('explainFileError', () => {
  it.each([
    ['ENOSPC', /No space is left.*PENSTOCK_CACHE/],
    ['EROFS', /cannot be written.*PENSTOCK_CACHE/],
    ['EACCES', /cannot be written.*PENSTOCK_CACHE/],
    ['ENOTDIR', /is in the way/],
  ])('turns %s into a sentence with the way out', (code, sentence) => {
    const explained = explainFileError(Object.assign(new Error(code), { code }), '/cache/penstock');
    expect(explained).toBeInstanceOf(SentenceError);
    expect(String(explained)).toMatch(sentence);
  });

  it('passes anything else on unchanged', () => {
    const error = new Error('a bug');
    expect(explainFileError(error, '/cache')).toBe(error);
  });
});
