import { setImmediate } from 'node:timers/promises';
import { spellBytes } from './byte-level-alphabet.ts';
import { BytePairEncoder } from './byte-pair-encoder.ts';
import { createControlTokenPattern } from './control-tokens.ts';
import { UnknownTokenError } from './errors.ts';
import { createPieceScanner } from './pre-tokenizer.ts';
import { PlainTextEncoder } from './text-encoder.ts';
import { readVocabulary, type Vocabulary } from './vocabulary-file.ts';

export interface DecodeOptions {
  /** Leaves out the tokens that `isSpecial` names. */
  readonly skipSpecialTokens?: boolean;
}

export interface SpecialTokenOptions {
  /** Whether the tokens that begin and end a sequence are put around the text, where the model has them. True by default. */
  readonly addSpecialTokens?: boolean;
}

/** One model's tokenizer: exact, and linear in the length of the text. */
export interface Tokenizer {
  /** SHA-256 (hex) of the compiled vocabulary: it names the tokenizer everywhere. */
  readonly digest: string;
  /** Ids are 0 to `vocabularySize - 1`; some of them may be unused. */
  readonly vocabularySize: number;
  /** Plain text: what looks like a control token stays text. An unpaired surrogate is U+FFFD. */
  encode(text: string): Uint32Array;
  /** The same ids, without holding the event loop for long. Rejects with the signal's reason. */
  encodeAsync(text: string, signal?: AbortSignal): Promise<Uint32Array>;
  /**
   * As Hugging Face and vLLM encode by default: text that looks like a control token becomes one, and the model's own tokens are put
   * around it. Never for text that somebody else wrote.
   */
  encodeWithSpecialTokens(text: string, options?: SpecialTokenOptions): Uint32Array;
  /** The number of tokens; stops early, at some number above `limit`, once there are more. */
  count(text: string, limit?: number): number;
  /** @throws {UnknownTokenError} */
  decode(ids: Iterable<number>, options?: DecodeOptions): string;
  /** The token's own bytes, which need not be whole UTF-8. Do not change them. @throws {UnknownTokenError} */
  tokenBytes(id: number): Uint8Array;
  /** The token as `tokenizer.json` spells it: `Ġworld`; a control token by its content. @throws {UnknownTokenError} */
  tokenString(id: number): string;
  /** Whether Hugging Face calls the token special, so that `skipSpecialTokens` leaves it out. */
  isSpecial(id: number): boolean;
  /** What the model's own tokenizer puts before and after a plain prompt when special tokens are asked for, such as a BOS. */
  readonly promptPrefix: readonly number[];
  readonly promptSuffix: readonly number[];
  /** Contents of all control tokens, by id. */
  readonly controlTokens: readonly string[];
  /** Contents of the tokens that begin and end a sequence, where the vocabulary names them. */
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  /** The id of a control token by its exact content. */
  specialTokenId(content: string): number | undefined;
}

/**
 * @param file a compiled vocabulary; the tokenizer reads from these bytes, so do not change them.
 * @throws {VocabularyError} a damaged file or another format version.
 */
export function loadTokenizer(file: Uint8Array): Tokenizer {
  const { vocabulary, digest } = readVocabulary(file);
  return new ByteLevelTokenizer(vocabulary, digest);
}

const text8 = new TextDecoder('utf-8', { ignoreBOM: true });

class ByteLevelTokenizer implements Tokenizer {
  readonly digest: string;
  readonly vocabularySize: number;
  readonly bosToken: string | undefined;
  readonly eosToken: string | undefined;
  readonly promptPrefix: readonly number[];
  readonly promptSuffix: readonly number[];
  readonly #vocabulary: Vocabulary;
  readonly #text: PlainTextEncoder;
  readonly #specialIds: ReadonlySet<number>;
  #controlIds: ReadonlyMap<string, number> | undefined;
  #controlPattern: RegExp | undefined;

  constructor(vocabulary: Vocabulary, digest: string) {
    this.digest = digest;
    this.bosToken = vocabulary.settings.bosToken;
    this.eosToken = vocabulary.settings.eosToken;
    this.promptPrefix = vocabulary.settings.prefix;
    this.promptSuffix = vocabulary.settings.suffix;
    this.#vocabulary = vocabulary;
    this.vocabularySize = vocabulary.tokenOffsets.length - 1;
    const scan = createPieceScanner(vocabulary.settings.preTokenizer, vocabulary);
    this.#text = new PlainTextEncoder(new BytePairEncoder(vocabulary), scan, vocabulary.settings);
    this.#specialIds = new Set(
      Array.from(vocabulary.controlTokens)
        .filter((token) => token % 2 === 1)
        .map((token) => token >>> 1),
    );
  }

  encode(text: string): Uint32Array {
    const run = this.#text.begin(text);
    while (!this.#text.step(run));
    return run.output.slice(0, run.length);
  }

  async encodeAsync(text: string, signal?: AbortSignal): Promise<Uint32Array> {
    signal?.throwIfAborted();
    const run = this.#text.begin(text);
    while (!this.#text.step(run)) {
      await setImmediate();
      signal?.throwIfAborted();
    }
    return run.output.slice(0, run.length);
  }

  count(text: string, limit = Number.POSITIVE_INFINITY): number {
    const run = this.#text.begin(text);
    while (!this.#text.step(run) && run.length <= limit);
    return run.length;
  }

  encodeWithSpecialTokens(text: string, options: SpecialTokenOptions = {}): Uint32Array {
    const around = options.addSpecialTokens !== false;
    const parts: (Uint32Array | readonly number[])[] = around ? [this.promptPrefix] : [];
    let at = 0;
    for (const match of text.matchAll(this.#controlTokenPattern())) {
      const id = this.specialTokenId(match[0]);
      if (id === undefined) continue;
      parts.push(this.encode(text.slice(at, match.index)), [id]);
      at = match.index + match[0].length;
    }
    parts.push(this.encode(text.slice(at)));
    if (around) parts.push(this.promptSuffix);
    return joinIds(parts);
  }

  #controlTokenPattern(): RegExp {
    this.#controlPattern ??= createControlTokenPattern(this.controlTokens);
    return this.#controlPattern;
  }

  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const skip = options.skipSpecialTokens === true;
    const parts: Uint8Array[] = [];
    let length = 0;
    for (const id of ids) {
      if (skip && this.#specialIds.has(id)) continue;
      const bytes = this.tokenBytes(id);
      parts.push(bytes);
      length += bytes.length;
    }
    const whole = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return text8.decode(whole);
  }

  tokenBytes(id: number): Uint8Array {
    const { tokenOffsets, tokenBytes } = this.#vocabulary;
    const start = tokenOffsets[id];
    const end = tokenOffsets[id + 1];
    if (start === undefined || end === undefined || start === end) throw new UnknownTokenError(id, this.vocabularySize);
    return tokenBytes.subarray(start, end);
  }

  tokenString(id: number): string {
    const bytes = this.tokenBytes(id);
    const content = text8.decode(bytes);
    return this.specialTokenId(content) === id ? content : spellBytes(bytes);
  }

  isSpecial(id: number): boolean {
    return this.#specialIds.has(id);
  }

  get controlTokens(): readonly string[] {
    return [...this.#controlIdByContent().keys()];
  }

  specialTokenId(content: string): number | undefined {
    return this.#controlIdByContent().get(content);
  }

  #controlIdByContent(): ReadonlyMap<string, number> {
    this.#controlIds ??= new Map(
      Array.from(this.#vocabulary.controlTokens, (token) => [text8.decode(this.tokenBytes(token >>> 1)), token >>> 1]),
    );
    return this.#controlIds;
  }
}

/** One array of all ids, in order. */
export function joinIds(parts: readonly (Uint32Array | readonly number[])[]): Uint32Array {
  const ids = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    ids.set(part, at);
    at += part.length;
  }
  return ids;
}
