import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer, type Tokenizer, UnknownTokenError, VocabularyError } from '../../../layers/tokenizer/index.ts';
import { catalog } from '../../../models/catalog.ts';
import { createRandom, fuzzText } from './fuzz-text.ts';
import { loadReference, loadVocabulary, SMOLLM2_FILE } from './vocabularies.ts';

const file = readFileSync(SMOLLM2_FILE);
let smollm2: Tokenizer;
let cl100k: Tokenizer;
beforeAll(async () => {
  smollm2 = loadTokenizer(file);
  cl100k = await loadVocabulary('cl100k_base');
}, 120_000);

describe('a compiled vocabulary', () => {
  it('is named by the SHA-256 of its file, which is the one in the catalog', () => {
    expect(smollm2.digest).toBe(createHash('sha256').update(file).digest('hex'));
    expect(catalog.find(({ tokenizer }) => tokenizer.folder === 'smollm2')?.tokenizer.digest).toBe(smollm2.digest);
  });

  it('is refused when any byte of it is another', () => {
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Uint8Array.from(file);
        damaged[at] = (damaged[at] ?? 0) ^ change;
        expect(() => loadTokenizer(damaged)).toThrow(VocabularyError);
      }),
      { numRuns: 30 },
    );
  });

  it.each([0, 3, 15, 100, 1000, file.length - 1])('is refused when it ends after %i bytes', (length) => {
    expect(() => loadTokenizer(file.subarray(0, length))).toThrow(VocabularyError);
  });

  it('is refused by name when it has another format version', () => {
    const newer = Uint8Array.from(file);
    newer[4] = 99;
    expect(() => loadTokenizer(newer)).toThrow('format version 99');
    expect(() => loadTokenizer(new TextEncoder().encode('{"version": "1.0"}'.repeat(20)))).toThrow('not a compiled vocabulary');
  });

  it('may lie at any address', () => {
    const shifted = new Uint8Array(file.length + 3);
    shifted.set(file, 3);
    expect(loadTokenizer(shifted.subarray(3)).encode('Hello world')).toEqual(smollm2.encode('Hello world'));
  });
});

describe('encode', () => {
  it('decodes back to the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(cl100k.decode(cl100k.encode(text))).toBe(text.toWellFormed());
      }),
    );
  });

  it('takes unpaired surrogates as U+FFFD', () => {
    expect(cl100k.encode('a\ud800b')).toEqual(cl100k.encode('a\ufffdb'));
  });

  it('never makes a control token', () => {
    for (const content of smollm2.controlTokens) {
      expect([...smollm2.encode(`x${content}y`)]).not.toContain(smollm2.specialTokenId(content));
      expect(smollm2.decode(smollm2.encode(`x${content}y`))).toBe(`x${content}y`);
    }
  });

  it.each(['r50k_base', 'cl100k_base', 'o200k_base', 'smollm2', 'qwen3'] as const)(
    'of %s gives the same ids however long the text before and after a piece is',
    async (name) => {
      const [ours, reference] = [await loadVocabulary(name), loadReference(name)];
      const random = createRandom(11);
      for (const glue of [' the ', '\nA', '\n\nA', ' \nA', '!\nA', '', '字']) {
        let text = '';
        while (text.length < 60_000) text += fuzzText(random) + glue;
        expect([...ours.encode(text)]).toEqual([...(await reference.encodePlain(text))]);
      }
    },
    60_000,
  );

  const runs: Readonly<Record<string, (length: number) => string>> = {
    a: (length) => 'a'.repeat(length),
    spaces: (length) => ' '.repeat(length),
    carets: (length) => '^'.repeat(length),
    hyphens: (length) => '-'.repeat(length),
    'ideographs of one kind': (length) => '的'.repeat(length),
    'random letters': (length) => randomRun(length, 'abcdefghijklmnopqrstuvwxyz'),
    base64: (length) => randomRun(length, 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'),
    'random ideographs': (length) => randomRun(length, '的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年'),
    'marks on a letter': (length) => `a${'\u0301'.repeat(length)}`,
    'a line feed and spaces': (length) => `\n${' '.repeat(length)}`,
  };

  it.each(Object.entries(runs))(
    'is exact for runs of %s up to thousands of bytes, at every kind of end',
    async (_, run) => {
      for (const name of ['cl100k_base', 'o200k_base', 'smollm2'] as const) {
        const [ours, reference] = [await loadVocabulary(name), loadReference(name)];
        for (const length of [63, 64, 65, 127, 1000, 6001]) {
          for (const end of ['', 'x', ' ', '!']) {
            const text = run(length) + end;
            expect([...ours.encode(text)]).toEqual([...(await reference.encodePlain(text))]);
          }
        }
      }
    },
    120_000,
  );

  it.each(Object.entries(runs))('takes a million characters of %s', (_, run) => {
    const text = run(1_000_000);
    expect(cl100k.decode(cl100k.encode(text)) === text).toBe(true);
  });
});

function randomRun(length: number, alphabet: string): string {
  const random = createRandom(3);
  const units = [...alphabet];
  return Array.from({ length }, () => units[Math.floor(random() * units.length)]).join('');
}

describe('encodeAsync', () => {
  it('gives what encode gives, for many texts at once', async () => {
    const random = createRandom(5);
    const texts = Array.from({ length: 20 }, () => Array.from({ length: 400 }, () => fuzzText(random)).join(' x'));
    texts.push('a'.repeat(100_000), '');
    const all = await Promise.all(texts.map((text) => cl100k.encodeAsync(text)));
    expect(all).toEqual(texts.map((text) => cl100k.encode(text)));
  });

  it('lets other work run while it encodes a long run', async () => {
    let turns = 0;
    let done = false;
    const ids = cl100k.encodeAsync('ab'.repeat(300_000)).finally(() => {
      done = true;
    });
    while (!done) {
      await setImmediate();
      turns += 1;
    }
    expect((await ids).length).toBe(300_000);
    expect(turns).toBeGreaterThan(20);
  });

  it('stops when it is told to', async () => {
    const gone = new AbortController();
    const encoded = cl100k.encodeAsync('ab'.repeat(1_000_000), gone.signal);
    gone.abort(new Error('left'));
    await expect(encoded).rejects.toThrow('left');
    await expect(cl100k.encodeAsync('a', AbortSignal.abort())).rejects.toThrow();
  });
});

describe('count', () => {
  it('is the number of ids, and stops early above a limit', () => {
    const text = 'one two three '.repeat(100_000);
    expect(cl100k.count('one two three')).toBe(3);
    expect(cl100k.count('one two three', 3)).toBe(3);
    const counted = cl100k.count(text, 10);
    expect(counted).toBeGreaterThan(10);
    expect(counted).toBeLessThan(20_000);
    expect(cl100k.count('^'.repeat(1_000_000), 10)).toBeLessThan(20_000);
  });
});

describe('ids', () => {
  it('outside of the vocabulary, or unused in it, are refused by name', () => {
    for (const id of [-1, 0.5, 100277, 2 ** 32, Number.NaN, 100256]) {
      expect(() => cl100k.tokenBytes(id)).toThrow(UnknownTokenError);
      expect(() => cl100k.decode([id])).toThrow(String(id));
    }
    expect(cl100k.vocabularySize).toBe(100277);
  });

  it('are spelled as tokenizer.json spells them', () => {
    expect([...smollm2.encode('a b\n')].concat(2).map((id) => smollm2.tokenString(id))).toEqual(['a', 'Ġb', 'Ċ', '<|im_end|>']);
  });

  it('of control tokens go by their exact content', () => {
    expect(smollm2.specialTokenId('<|im_end|>')).toBe(2);
    expect(smollm2.specialTokenId('im_end')).toBeUndefined();
    expect([smollm2.isSpecial(2), smollm2.isSpecial(500)]).toEqual([true, false]);
    expect([smollm2.bosToken, smollm2.eosToken]).toEqual(['<|im_start|>', '<|im_end|>']);
  });
});
