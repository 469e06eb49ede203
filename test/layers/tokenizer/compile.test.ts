import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { Tokenizer as HuggingFaceTokenizer } from 'tokenizers';
import { describe, expect, it } from 'vitest';
import { spellBytes } from '../../../layers/tokenizer/byte-level-alphabet.ts';
import {
  compileGguf,
  compileTiktoken,
  compileTokenizerJson,
  type GgufTokenizer,
  loadTokenizer,
  TIKTOKEN_ENCODINGS,
  VocabularyError,
} from '../../../layers/tokenizer/index.ts';
import { readVocabulary } from '../../../layers/tokenizer/vocabulary-file.ts';
import { SMOLLM2_FILE } from './vocabularies.ts';

const BYTES = Array.from({ length: 256 }, (_, byte) => spellBytes(Uint8Array.of(byte)));
const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };

/** All bytes, then the tokens of these merges. */
function tokenizerJson(merges: readonly string[], changes: { readonly [field: string]: unknown; readonly model?: object } = {}) {
  const tokens = [...BYTES, ...merges.map((merge) => merge.replace(' ', ''))];
  const { model, ...rest } = changes;
  return {
    version: '1.0',
    added_tokens: [{ id: tokens.length, content: '<end>', special: true }],
    normalizer: null,
    pre_tokenizer: BYTE_LEVEL,
    post_processor: null,
    decoder: BYTE_LEVEL,
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges, ...model },
    ...rest,
  };
}

describe('a tokenizer.json', () => {
  it('is compiled to the same encoding by its merges, whether they are strings or pairs', () => {
    const strings = loadTokenizer(compileTokenizerJson(tokenizerJson(['a b', 'ab c'])));
    const pairs = loadTokenizer(compileTokenizerJson({ ...tokenizerJson(['a b', 'ab c']), model: pairModel() }));
    expect([...strings.encode('abcab')]).toEqual([257, 256]);
    expect(pairs.digest).toBe(strings.digest);
    expect(strings.specialTokenId('<end>')).toBe(258);
  });

  it('keeps tokens that are named like properties of objects', () => {
    const json = tokenizerJson(['c o']);
    const vocab = JSON.parse(
      `{${Object.entries(json.model.vocab)
        .map(([token, id]) => `${JSON.stringify(token)}:${id}`)
        .join()},"__proto__":258,"constructor":259}`,
    );
    const tokenizer = loadTokenizer(compileTokenizerJson({ ...json, added_tokens: [], model: { ...json.model, vocab } }));
    expect(tokenizer.decode([258, 259])).toBe('__proto__constructor');
  });

  it('puts the tokens of its template around a prompt only when asked', () => {
    const post_processor = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<end>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      special_tokens: { '<end>': { id: '<end>', ids: [256], tokens: ['<end>'] } },
    };
    const tokenizer = loadTokenizer(compileTokenizerJson(tokenizerJson([], { post_processor })));
    expect([...tokenizer.encodeWithSpecialTokens('a<end>')]).toEqual([256, 97, 256]);
    expect([...tokenizer.encodeWithSpecialTokens('a', { addSpecialTokens: false })]).toEqual([...tokenizer.encode('a')]);
    expect(tokenizer.promptPrefix).toEqual([256]);
  });

  it('encodes by merges that are out of the order of the ids, and that are earlier than their parts', () => {
    // "cd" (id 256) is merged after "ab" (257); "abc" is listed before the "ab" that it is made of.
    const json = tokenizerJson([]);
    const vocab = { ...json.model.vocab, cd: 256, ab: 257, abc: 258 };
    const model = { ...json.model, vocab, merges: ['ab c', 'a b', 'c d'] };
    const tokenizer = loadTokenizer(compileTokenizerJson({ ...json, added_tokens: [], model }));
    expect([...tokenizer.encode('abcd')].map((id) => tokenizer.decode([id]))).toEqual(['abc', 'd']);
    expect([...tokenizer.encode('xcdab')].map((id) => tokenizer.decode([id]))).toEqual(['x', 'cd', 'ab']);
  });

  it('encodes as Hugging Face does by any list of merges, in any order', async () => {
    const mergeLists = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 25 }).chain((picks) => {
      const tokens = ['a', 'b', 'c'];
      const merges = new Set<string>();
      for (const [left, right] of picks) {
        const pair = [tokens[left % tokens.length], tokens[right % tokens.length]] as const;
        if (pair.join('').length > 12) continue;
        merges.add(pair.join(' '));
        if (!tokens.includes(pair.join(''))) tokens.push(pair.join(''));
      }
      return fc
        .shuffledSubarray([...merges], { minLength: merges.size })
        .map((shuffled) => ({ tokens: tokens.slice(3), merges: shuffled }));
    });
    const texts = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 60 }), {
      minLength: 20,
      maxLength: 20,
    });
    await fc.assert(
      fc.asyncProperty(mergeLists, texts, fc.boolean(), async ({ tokens, merges }, samples, wholePieces) => {
        const json = tokenizerJson([], { added_tokens: [] });
        const vocab = Object.fromEntries([...BYTES, ...tokens].map((token, id) => [token, id]));
        const model = { ...json.model, vocab, merges, ignore_merges: wholePieces };
        const ours = loadTokenizer(compileTokenizerJson({ ...json, model }));
        const reference = HuggingFaceTokenizer.fromString(JSON.stringify({ ...json, model }));
        for (const text of samples) expect([...ours.encode(text)]).toEqual((await reference.encode(text)).getIds());
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  const refused: readonly (readonly [string, object, RegExp])[] = [
    ['another model', tokenizerJson([], { model: { type: 'Unigram' } }), /model is Unigram/],
    ['dropout', tokenizerJson([], { model: { dropout: 0.1 } }), /dropout/],
    ['byte fallback', tokenizerJson([], { model: { byte_fallback: true } }), /SentencePiece/],
    ['subword marks', tokenizerJson([], { model: { end_of_word_suffix: '</w>' } }), /prefix or a suffix/],
    ['another normalizer', tokenizerJson([], { normalizer: { type: 'Lowercase' } }), /normalizer is Lowercase/],
    ['another decoder', tokenizerJson([], { decoder: { type: 'Metaspace' } }), /decoder is Metaspace/],
    ['another pre-tokenizer', tokenizerJson([], { pre_tokenizer: { type: 'Whitespace' } }), /does not end with ByteLevel/],
    [
      'an unknown expression',
      tokenizerJson([], {
        pre_tokenizer: {
          type: 'Sequence',
          pretokenizers: [
            { type: 'Split', pattern: { Regex: '\\w+|\\W+' }, behavior: 'Isolated', invert: false },
            { ...BYTE_LEVEL, use_regex: false },
          ],
        },
      }),
      /none of those that are known/,
    ],
    ['another post-processor', tokenizerJson([], { post_processor: { type: 'BertProcessing' } }), /post-processor is BertProcessing/],
    [
      'tokens that take in white space',
      tokenizerJson([], { added_tokens: [{ id: 256, content: '<m>', lstrip: true }] }),
      /<m> takes in white space/,
    ],
    ['merges of unknown tokens', tokenizerJson([], { model: { merges: ['zz top'] } }), /Merge 0 joins tokens that the vocabulary lacks/],
    ['two tokens with one id', tokenizerJson([], { model: { vocab: { a: 0, b: 0 } } }), /two tokens have the id 0/],
    ['a replacement for missing bytes', tokenizerJson([], { model: { vocab: { a: 0 }, unk_token: '<unk>' } }), /lacks byte tokens/],
    ['no vocabulary', { added_tokens: [] }, /not a tokenizer.json: model/],
    ['something else', { hello: 1 }, /not a tokenizer.json/],
  ];
  it.each(refused)('with %s is refused with the reason', (_, json, reason) => {
    expect(() => compileTokenizerJson(json)).toThrow(VocabularyError);
    expect(() => compileTokenizerJson(json)).toThrow(reason);
  });

  function pairModel() {
    const { model } = tokenizerJson(['a b', 'ab c']);
    return { ...model, merges: [['a', 'b'], ['ab', 'c']] }; // biome-ignore format: as the file has it
  }
});

describe('a GGUF', () => {
  /** SmolLM2's arrays, from the compiled vocabulary: spelled tokens, and merges in the order of their tokens. */
  function smollm2(): GgufTokenizer {
    const { tokenOffsets, tokenBytes, mergePairs, controlTokens } = readVocabulary(readFileSync(SMOLLM2_FILE)).vocabulary;
    const tokens = Array.from({ length: tokenOffsets.length - 1 }, (_, id) =>
      spellBytes(tokenBytes.subarray(tokenOffsets[id], tokenOffsets[id + 1])),
    );
    const tokenTypes = tokens.map((_, id) => (controlTokens.includes(id * 2 + 1) ? 3 : 1));
    const merges = tokens.flatMap((_, id) => {
      const pair = [tokens[mergePairs[id * 2] ?? -1], tokens[mergePairs[id * 2 + 1] ?? -1]];
      return pair.includes(undefined) ? [] : [pair.join(' ')];
    });
    return { tokens, merges, tokenTypes, pre: 'smollm', bosTokenId: 1, eosTokenId: 2, addBos: false };
  }

  it('compiles to the same bytes wherever it is compiled', () => {
    expect(loadTokenizer(compileGguf(smollm2())).digest).toBe(loadTokenizer(readFileSync(SMOLLM2_FILE)).digest);
  });

  it('with a pre-tokenizer that is not known is refused by its name', () => {
    expect(() => compileGguf({ ...smollm2(), pre: 'viking' })).toThrow(/"viking".*It knows gpt-2/);
    expect(() => compileGguf({ ...smollm2(), pre: 'constructor' })).toThrow(VocabularyError);
    expect(() => compileGguf({ ...smollm2(), tokenTypes: [1] })).toThrow(/49152 tokens but 1 token types/);
  });

  it('puts a BOS before prompts when the file says so', () => {
    const tokenizer = loadTokenizer(compileGguf({ ...smollm2(), addBos: true }));
    expect(tokenizer.promptPrefix).toEqual([1]);
    expect(tokenizer.encode('')).toEqual(new Uint32Array(0));
  });
});

describe('a .tiktoken file', () => {
  const encoding = TIKTOKEN_ENCODINGS.r50k_base;
  const line = (text: string, rank: number) => `${Buffer.from(text, 'latin1').toString('base64')} ${rank}\n`;

  it.each([
    ['has a line of another form', 'IQ== 0\nnonsense\n', /Line 2 .* "base64 rank"/],
    ['repeats a token', line('a', 0) + line('a', 1), /Line 2 of the ranks repeats/],
    ['repeats a rank', line('a', 0) + line('b', 0), /Line 2 of the ranks repeats/],
    ['takes the id of a special token', line('a', 50256), /Id 50256 is both/],
    ['has a token that is far too long', line('a'.repeat(2000), 0), /Token 0 has 2000 bytes/],
  ])('is refused when it %s', (_, ranks, reason) => {
    expect(() => compileTiktoken(ranks, encoding)).toThrow(VocabularyError);
    expect(() => compileTiktoken(ranks, encoding)).toThrow(reason);
  });
});
