import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { createDetokenizer, type DetokenizerOptions, type Tokenizer, UnknownTokenError } from '../../../layers/tokenizer/index.ts';
import { createRandom, fuzzText } from './fuzz-text.ts';
import { loadVocabulary } from './vocabularies.ts';

let tokenizer: Tokenizer;
beforeAll(async () => {
  tokenizer = await loadVocabulary('smollm2');
});

function stream(ids: Iterable<number>, options: DetokenizerOptions = {}) {
  const detokenizer = createDetokenizer(tokenizer, options);
  const pieces: string[] = [];
  let stop: string | undefined;
  for (const id of ids) {
    const token = detokenizer.push(id);
    pieces.push(token.text);
    stop ??= token.stop;
  }
  return { pieces: [...pieces, detokenizer.flush()], stop };
}

const anyIds = () => fc.array(fc.integer({ min: 0, max: tokenizer.vocabularySize - 1 }), { maxLength: 40 });
const fuzz = fc.integer().map((seed) => fuzzText(createRandom(seed)));

describe('a detokenizer', () => {
  it('releases the text of all ids, whatever they are, and only ever a prefix of it', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          anyIds(),
          fuzz.map((text) => [...tokenizer.encode(text)]),
        ),
        (ids) => {
          const whole = tokenizer.decode(ids);
          let released = '';
          for (const piece of stream(ids).pieces) {
            released += piece;
            expect(whole.startsWith(released)).toBe(true);
          }
          expect(released).toBe(whole);
        },
      ),
    );
  });

  it('ends before the first stop string to be complete, however tokens cut it', () => {
    const units = fc.string({ unit: fc.constantFrom('a', 'b', '\n', 'é', '😀', ' '), minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', 'b', '\n', 'é', '😀', ' '), maxLength: 60 }),
        fc.array(units, { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        (text, stops, includeStop) => {
          // The text as bytes, a token each, so that characters and stop strings are cut everywhere.
          const ids = [...new TextEncoder().encode(text)].map((byte) => byteToken(byte));
          const expected = firstStop(text, stops);
          const { pieces, stop } = stream(ids, { stop: stops, includeStop });
          expect(pieces.join('')).toBe(expected === undefined ? text : text.slice(0, includeStop ? expected.end : expected.start));
          expect(stop).toBe(expected === undefined ? undefined : text.slice(expected.start, expected.end));
        },
      ),
      { numRuns: 500 },
    );
  });

  it('holds back no more than what may begin a stop string', () => {
    const detokenizer = createDetokenizer(tokenizer, { stop: ['END'] });
    expect(tokenizer.encode('x E').length).toBe(2);
    const texts = [...tokenizer.encode('x E')].map((id) => detokenizer.push(id).text);
    expect(texts.join('')).toBe('x ');
    expect(detokenizer.push(byteToken(0x4e)).text).toBe('');
    expect(detokenizer.push(byteToken(0x21)).text).toBe('EN!');
  });

  it('releases a held beginning of a stop string at the end', () => {
    expect(stream(tokenizer.encode('abc EN'), { stop: ['END'] }).pieces.join('')).toBe('abc EN');
  });

  it('shows U+FFFD for a cut character only at the end', () => {
    const [first = 0, second = 0] = [...new TextEncoder().encode('é')].map(byteToken);
    const detokenizer = createDetokenizer(tokenizer);
    expect(detokenizer.push(first).text).toBe('');
    expect(detokenizer.push(second).text).toBe('é');
    expect(detokenizer.push(first).text).toBe('');
    expect(detokenizer.flush()).toBe('\ufffd');
  });

  it('keeps a byte order mark', () => {
    expect(stream(tokenizer.encode('\ufeffa')).pieces.join('')).toBe('\ufeffa');
  });

  it('leaves special tokens out when asked, and says the bytes and the offset of every token', () => {
    const ids = [1, ...tokenizer.encode('é😀a'), 2];
    const detokenizer = createDetokenizer(tokenizer, { skipSpecialTokens: true });
    const tokens = ids.map((id) => detokenizer.push(id));
    expect(tokens.map(({ text }) => text).join('')).toBe('é😀a');
    expect(Buffer.concat(tokens.map(({ bytes }) => bytes)).toString()).toBe('<|im_start|>é😀a<|im_end|>');
    expect(tokens.at(0)?.textOffset).toBe(0);
    expect(tokens.at(-1)?.textOffset).toBe(3);
    expect(tokens.map(({ textOffset }) => textOffset)).toEqual(tokens.map(({ textOffset }) => textOffset).toSorted((a, b) => a - b));
  });

  it('releases nothing after a stop string', () => {
    const { pieces, stop } = stream([...tokenizer.encode('one\n\ntwo'), ...tokenizer.encode('three')], { stop: ['\n\n'] });
    expect(pieces.join('')).toBe('one');
    expect(stop).toBe('\n\n');
  });

  it('refuses unknown ids by name, and empty stop strings', () => {
    expect(() => createDetokenizer(tokenizer).push(49152)).toThrow(UnknownTokenError);
    expect(() => createDetokenizer(tokenizer).push(49152)).toThrow('49152');
    expect(() => createDetokenizer(tokenizer, { stop: [''] })).toThrow(RangeError);
  });

  it('takes a text of one character a million times with a stop string of that character in linear time', () => {
    const ids = new Uint32Array(200_000).fill(byteToken(0x61));
    expect(stream(ids, { stop: [`${'a'.repeat(1000)}b`] }).pieces.join('').length).toBe(200_000);
  });
});

function byteToken(byte: number): number {
  for (let id = 0; id < 300; id++) if (tokenizer.tokenBytes(id).length === 1 && tokenizer.tokenBytes(id)[0] === byte) return id;
  throw new Error(`no token for byte ${byte}`);
}

/** By definition: the earliest end, and of those the earliest start. */
function firstStop(text: string, stops: readonly string[]): { start: number; end: number } | undefined {
  for (let end = 1; end <= text.length; end++) {
    const ending = stops.filter((stop) => text.slice(0, end).endsWith(stop)).sort((a, b) => b.length - a.length)[0];
    if (ending !== undefined) return { start: end - ending.length, end };
  }
  return undefined;
}
