/**
 * The compiled vocabulary: one little-endian file that is read as typed arrays over the loaded bytes, without parsing or copying.
 *
 *   magic 'PSTK' · format version · number of sections · 0        four u32
 *   per section: byte offset, byte length                         two u32 each; offsets are multiples of 8
 *   the sections, in the order of `SECTIONS`
 *   SHA-256 of everything before                                  32 bytes
 *
 * The SHA-256 of the whole file is the tokenizer's digest.
 */
import { createHash } from 'node:crypto';
import { VocabularyError } from './errors.ts';

const MAGIC = 0x4b_54_53_50; // 'PSTK'
const FORMAT_VERSION = 1;
const CHECK_BYTES = 32;
const HEADER_BYTES = 16;

const SECTIONS = [
  'settings',
  'tokenOffsets',
  'tokenBytes',
  'controlTokens',
  'tokenSlots',
  'mergePairs',
  'mergeSlots',
  'mergeRanks',
  'irregularTokens',
  'byteTokens',
  'classBlocks',
  'classRows',
] as const;

/** Which rules cut text into pieces; see `pre-tokenizer.ts`. */
export type PreTokenizerName = 'gpt2' | 'gpt2-digits' | 'cl100k' | 'qwen2' | 'qwen3.5' | 'o200k' | 'tekken';

export interface VocabularySettings {
  readonly preTokenizer: PreTokenizerName;
  readonly normalization: 'none' | 'nfc';
  /** Hugging Face's `add_prefix_space`: a space is put before text that does not begin with white space. */
  readonly addPrefixSpace: boolean;
  /** Bytes of the longest token that text can become. */
  readonly longestToken: number;
  readonly bosToken?: string;
  readonly eosToken?: string;
  /** Ids that the model's own tokenizer puts before and after a plain prompt when special tokens are asked for. */
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
}

export interface Vocabulary {
  readonly settings: VocabularySettings;
  /** N + 1 offsets into `tokenBytes`. An empty span is an id without a token. */
  readonly tokenOffsets: Uint32Array;
  readonly tokenBytes: Uint8Array;
  /** Added tokens, ascending: `id * 2 + 1` for those that decoding can skip (Hugging Face's `special`), `id * 2` for the others. */
  readonly controlTokens: Uint32Array;
  /** Hash table of the tokens that a whole piece can be, and of their beginnings of two bytes and more (as id N). */
  readonly tokenSlots: Uint32Array;
  /** Left and right id of the one merge that makes each token; both 0xffffffff where no merge does. */
  readonly mergePairs: Uint32Array;
  /** Hash table of those merges by their two ids. */
  readonly mergeSlots: Uint32Array;
  /** Place of each token's merge in their order, 0 for a single byte; empty when the ids have that order. */
  readonly mergeRanks: Uint32Array;
  /** Tokens in whose making a later merge than the last took part: their ranks do not tell the order of their merges. */
  readonly irregularTokens: Uint32Array;
  /** The token of each byte; 0xffffffff where the vocabulary has none. */
  readonly byteTokens: Uint32Array;
  readonly classBlocks: Uint8Array;
  readonly classRows: Uint8Array;
}

export const NO_TOKEN = 0xffffffff;

export function writeVocabulary(vocabulary: Vocabulary): Uint8Array {
  const parts = SECTIONS.map((name) => {
    if (name === 'settings') return new TextEncoder().encode(JSON.stringify(vocabulary.settings));
    const section = vocabulary[name];
    return new Uint8Array(section.buffer, section.byteOffset, section.byteLength);
  });
  const align = (offset: number) => (offset + 7) & ~7;
  let offset = align(HEADER_BYTES + SECTIONS.length * 8);
  const placed = parts.map((part) => {
    const at = offset;
    offset = align(at + part.length);
    return { part, at };
  });
  const file = new Uint8Array(offset + CHECK_BYTES);
  const header = new DataView(file.buffer);
  for (const [at, value] of [MAGIC, FORMAT_VERSION, SECTIONS.length, 0].entries()) header.setUint32(at * 4, value, true);
  for (const [index, { part, at }] of placed.entries()) {
    header.setUint32(HEADER_BYTES + index * 8, at, true);
    header.setUint32(HEADER_BYTES + index * 8 + 4, part.length, true);
    file.set(part, at);
  }
  file.set(createHash('sha256').update(file.subarray(0, offset)).digest(), offset);
  return file;
}

/**
 * @returns views of `file` (a copy only when it is not aligned) and the file's digest.
 * @throws {VocabularyError} not a vocabulary, of another format version, cut short or damaged.
 */
export function readVocabulary(file: Uint8Array): { readonly vocabulary: Vocabulary; readonly digest: string } {
  const aligned = file.byteOffset % 8 === 0 ? file : file.slice();
  const header = new DataView(aligned.buffer, aligned.byteOffset, aligned.byteLength);
  const headerEnd = HEADER_BYTES + SECTIONS.length * 8;
  if (aligned.length < headerEnd + CHECK_BYTES || header.getUint32(0, true) !== MAGIC) {
    throw new VocabularyError('This is not a compiled vocabulary. Make one with `npm run tokenizer -- compile`.');
  }
  const version = header.getUint32(4, true);
  if (version !== FORMAT_VERSION || header.getUint32(8, true) !== SECTIONS.length) {
    throw new VocabularyError(
      `The vocabulary has format version ${version}, but this build reads ${FORMAT_VERSION}. Compile the vocabulary again with \`npm run tokenizer -- compile\`.`,
    );
  }
  const digest = checkDigest(aligned);
  const section = (name: (typeof SECTIONS)[number]): Uint8Array => {
    const at = HEADER_BYTES + SECTIONS.indexOf(name) * 8;
    return aligned.subarray(header.getUint32(at, true), header.getUint32(at, true) + header.getUint32(at + 4, true));
  };
  const words = (name: (typeof SECTIONS)[number]): Uint32Array => {
    const bytes = section(name);
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  };
  return {
    digest,
    vocabulary: {
      // The check above proves that a compiler of this format version wrote the file.
      settings: JSON.parse(new TextDecoder().decode(section('settings'))) as VocabularySettings,
      tokenOffsets: words('tokenOffsets'),
      tokenBytes: section('tokenBytes'),
      controlTokens: words('controlTokens'),
      tokenSlots: words('tokenSlots'),
      mergePairs: words('mergePairs'),
      mergeSlots: words('mergeSlots'),
      mergeRanks: words('mergeRanks'),
      irregularTokens: words('irregularTokens'),
      byteTokens: words('byteTokens'),
      classBlocks: section('classBlocks'),
      classRows: section('classRows'),
    },
  };
}

/** One pass gives both the check (all but the last 32 bytes) and the digest (the whole file). */
function checkDigest(file: Uint8Array): string {
  const body = file.subarray(0, file.length - CHECK_BYTES);
  const check = file.subarray(file.length - CHECK_BYTES);
  const hash = createHash('sha256').update(body);
  if (!hash.copy().digest().equals(check)) {
    throw new VocabularyError('The vocabulary file is damaged or cut short: its SHA-256 check does not fit. Fetch or compile it again.');
  }
  return hash.update(check).digest('hex');
}
