/**
 * Hugging Face's `tokenizer.json`. Only what is reproduced exactly is taken: everything that says otherwise is refused by name.
 * Format: huggingface/tokenizers, `tokenizer/serialization.rs` and the models, normalizers and pre-tokenizers that it names.
 */
import * as v from 'valibot';
import { readSpelledToken } from './byte-level-alphabet.ts';
import { compileVocabulary } from './compile-vocabulary.ts';
import { VocabularyError } from './errors.ts';
import { createMergeList } from './merge-list.ts';
import type { PreTokenizerName, VocabularySettings } from './vocabulary-file.ts';

const component = v.nullish(v.looseObject({ type: v.string() }));
const tokenizerJson = v.object({
  added_tokens: v.array(
    v.object({
      id: v.pipe(v.number(), v.integer(), v.minValue(0)),
      content: v.pipe(v.string(), v.nonEmpty()),
      single_word: v.optional(v.boolean(), false),
      lstrip: v.optional(v.boolean(), false),
      rstrip: v.optional(v.boolean(), false),
      normalized: v.optional(v.boolean(), false),
      special: v.optional(v.boolean(), false),
    }),
  ),
  normalizer: component,
  pre_tokenizer: component,
  post_processor: component,
  decoder: component,
  model: v.object({
    type: v.optional(v.string(), 'BPE'),
    dropout: v.nullish(v.number()),
    unk_token: v.nullish(v.string()),
    continuing_subword_prefix: v.nullish(v.string()),
    end_of_word_suffix: v.nullish(v.string()),
    byte_fallback: v.nullish(v.boolean()),
    ignore_merges: v.nullish(v.boolean()),
    // Not v.record, which leaves out keys such as "constructor": they are tokens here.
    vocab: v.custom<Readonly<Record<string, number>>>(isVocabulary, 'must map tokens to ids'),
    merges: v.custom<readonly (string | readonly [string, string])[]>(isMergeList, 'must be strings or pairs of strings'),
  }),
});

function isVocabulary(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.values(value).every((id) => Number.isSafeInteger(id) && id >= 0);
}

/** By hand, as is the vocabulary above: a schema for each of 280,000 entries takes seconds. */
function isMergeList(value: unknown): boolean {
  const isPair = (merge: unknown) => Array.isArray(merge) && merge.length === 2 && merge.every((part) => typeof part === 'string');
  return Array.isArray(value) && value.every((merge) => typeof merge === 'string' || isPair(merge));
}

type Component = v.InferOutput<typeof component>;

export interface TokenizerJsonOptions {
  /** Of `tokenizer_config.json`, where they stand as a string or as `{ content }`. */
  readonly bosToken?: string;
  readonly eosToken?: string;
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const LINES_AND_SPACES = '\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const UPPER_SIDE = '[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]';
const LOWER_SIDE = '[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]';
const PREFIX = '[^\\r\\n\\p{L}\\p{N}]?';

/** `Split` expressions that `pre-tokenizer.ts` has as scanners. */
const SPLITS: ReadonlyMap<string, PreTokenizerName> = new Map([
  ["'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", 'gpt2'],
  ["'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", 'gpt2'],
  [`${CONTRACTIONS}|${PREFIX}\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${LINES_AND_SPACES}`, 'cl100k'],
  [`${CONTRACTIONS}|${PREFIX}\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${LINES_AND_SPACES}`, 'qwen2'],
  [`${CONTRACTIONS}|${PREFIX}[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|${LINES_AND_SPACES}`, 'qwen3.5'],
  [
    `${PREFIX}${UPPER_SIDE}*${LOWER_SIDE}+${CONTRACTIONS}?|${PREFIX}${UPPER_SIDE}+${LOWER_SIDE}*${CONTRACTIONS}?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${LINES_AND_SPACES}`,
    'o200k',
  ],
  [
    `${PREFIX}${UPPER_SIDE}*${LOWER_SIDE}+|${PREFIX}${UPPER_SIDE}+${LOWER_SIDE}*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${LINES_AND_SPACES}`,
    'tekken',
  ],
]);

/** @throws {VocabularyError} not a `tokenizer.json`, or one that cannot be reproduced exactly, with the reason. */
export function compileTokenizerJson(json: unknown, options: TokenizerJsonOptions = {}): Uint8Array {
  const parsed = v.safeParse(tokenizerJson, json);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    throw new VocabularyError(`This is not a tokenizer.json: ${v.getDotPath(issue) ?? 'the file'}: ${issue.message}`);
  }
  const { added_tokens: added, model, normalizer, pre_tokenizer: preTokenizer, post_processor: postProcessor, decoder } = parsed.output;
  if (model.type !== 'BPE') refuse(`its model is ${model.type}, and only BPE is taken`);
  if (model.dropout) refuse('its merges are dropped at random (dropout)');
  if (model.continuing_subword_prefix || model.end_of_word_suffix) refuse('it marks subwords with a prefix or a suffix');
  if (model.byte_fallback) refuse('it falls back to byte tokens (SentencePiece) and is not byte-level');
  const kinds = flatten(decoder, 'decoders').map(({ type }) => type);
  if (kinds.length !== 1 || kinds[0] !== 'ByteLevel') refuse(`its decoder is ${kinds.join(' + ') || 'none'}, and only ByteLevel is taken`);

  const normalization = readNormalizer(normalizer);
  const tokens: (Uint8Array | undefined)[] = [];
  const decodeOnly = new Set<number>();
  for (const [token, id] of Object.entries(model.vocab)) {
    if (tokens[id] !== undefined) refuse(`two tokens have the id ${id}`);
    const { bytes, spelled } = readSpelledToken(token);
    tokens[id] = bytes;
    if (!spelled) decodeOnly.add(id);
  }
  for (const { id, content, single_word, lstrip, rstrip, normalized } of added) {
    if (single_word || lstrip || rstrip) refuse(`its added token ${content} takes in white space or wants to be a word of its own`);
    if (normalized && normalization === 'nfc') refuse(`its added token ${content} is looked for in normalized text`);
    tokens[id] = readSpelledToken(content).bytes;
  }
  const bytesOf = new Set(Object.keys(model.vocab).filter((token) => [...token].length === 1));
  if (model.unk_token && bytesOf.size < 256) refuse(`it lacks byte tokens and puts ${model.unk_token} in their place`);

  const idOf = new Map(Object.entries(model.vocab));
  return compileVocabulary({
    settings: {
      ...readPreTokenizer(preTokenizer),
      normalization,
      ...(options.bosToken === undefined ? {} : { bosToken: options.bosToken }),
      ...(options.eosToken === undefined ? {} : { eosToken: options.eosToken }),
      ...readPostProcessor(postProcessor),
    },
    tokens: Array.from(tokens),
    controlTokens: added.map(({ id, special }) => ({ id, special })),
    decodeOnly,
    findMerge: createMergeList(idOf, model.merges),
    wholePieces: model.ignore_merges === true,
  });
}

function refuse(reason: string): never {
  throw new VocabularyError(`This tokenizer.json cannot be reproduced exactly: ${reason}.`);
}

/** The parts of a `Sequence`, or the component alone. */
function flatten(part: Component, field: string): readonly NonNullable<Component>[] {
  if (part === null || part === undefined) return [];
  if (part.type !== 'Sequence') return [part];
  return v.parse(v.array(v.looseObject({ type: v.string() })), part[field]).flatMap((each) => flatten(each, field));
}

function readNormalizer(normalizer: Component): VocabularySettings['normalization'] {
  const parts = flatten(normalizer, 'normalizers');
  if (parts.length === 0) return 'none';
  if (parts.length === 1 && parts[0]?.type === 'NFC') return 'nfc';
  return refuse(`its normalizer is ${parts.map(({ type }) => type).join(' + ')}`);
}

const byteLevel = v.object({ type: v.literal('ByteLevel'), add_prefix_space: v.boolean(), use_regex: v.optional(v.boolean(), true) });
const digits = v.object({ type: v.literal('Digits'), individual_digits: v.literal(true) });
const split = v.union([
  v.object({
    type: v.literal('Split'),
    pattern: v.object({ Regex: v.string() }),
    behavior: v.literal('Isolated'),
    invert: v.literal(false),
  }),
  // What is between the matches is removed, and these expressions match everything.
  v.object({ type: v.literal('Split'), pattern: v.object({ Regex: v.string() }), behavior: v.literal('Removed'), invert: v.literal(true) }),
]);

function readPreTokenizer(preTokenizer: Component): Pick<VocabularySettings, 'preTokenizer' | 'addPrefixSpace'> {
  const parts = flatten(preTokenizer, 'pretokenizers');
  const last = v.safeParse(byteLevel, parts.at(-1));
  if (!last.success) return refuse('its pre-tokenizer does not end with ByteLevel');
  const { add_prefix_space: addPrefixSpace, use_regex: useRegex } = last.output;
  const [first] = parts;
  if (parts.length === 1 && useRegex) return { preTokenizer: 'gpt2', addPrefixSpace };
  if (parts.length === 2 && useRegex && !addPrefixSpace && v.is(digits, first)) return { preTokenizer: 'gpt2-digits', addPrefixSpace };
  if (parts.length === 2 && !useRegex && !addPrefixSpace) {
    const known = v.safeParse(split, first);
    const name = known.success ? SPLITS.get(known.output.pattern.Regex) : undefined;
    if (name !== undefined) return { preTokenizer: name, addPrefixSpace };
  }
  return refuse(`its pre-tokenizer (${parts.map(({ type }) => type).join(' + ')}) is none of those that are known`);
}

const specialPiece = v.object({ SpecialToken: v.object({ id: v.string() }) });
const sequencePiece = v.object({ Sequence: v.object({ id: v.literal('A') }) });
const template = v.object({
  type: v.literal('TemplateProcessing'),
  single: v.array(v.union([specialPiece, sequencePiece])),
  special_tokens: v.record(v.string(), v.object({ ids: v.array(v.number()) })),
});

/** The ids that are put before and after a plain prompt. */
function readPostProcessor(postProcessor: Component): Pick<VocabularySettings, 'prefix' | 'suffix'> {
  const parts = flatten(postProcessor, 'processors').filter(({ type }) => type !== 'ByteLevel'); // which only moves offsets
  if (parts.length === 0) return { prefix: [], suffix: [] };
  const known = v.safeParse(template, parts[0]);
  if (parts.length > 1 || !known.success) return refuse(`its post-processor is ${parts.map(({ type }) => type).join(' + ')}`);
  const { single, special_tokens: specialTokens } = known.output;
  const text = single.findIndex((piece) => 'Sequence' in piece);
  const idsOf = (pieces: typeof single) =>
    pieces.flatMap((piece) =>
      'SpecialToken' in piece ? (specialTokens[piece.SpecialToken.id]?.ids ?? refuse('its post-processor names no ids')) : [],
    );
  return { prefix: idsOf(single.slice(0, text)), suffix: idsOf(single.slice(text + 1)) };
}
