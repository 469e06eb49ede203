/**
 * Runs plain text through the pre-tokenizer and the byte pair encoder in steps of bounded work. Text is taken in chunks, cut only where
 * every pre-tokenizer cuts and no normalization joins: before ` x` after a visible character, and before `x` after a visible character and a line feed.
 */
import type { BytePairEncoder, PieceSearch } from './byte-pair-encoder.ts';
import { normalizeNfc } from './hugging-face-nfc.ts';
import type { PieceScanner } from './pre-tokenizer.ts';
import type { VocabularySettings } from './vocabulary-file.ts';

/** UTF-16 code units that are taken at once, unless a run without a safe cut is longer. */
const CHUNK_UNITS = 2 ** 14;
/** Code units that one step looks through for a cut beyond that. */
const LOOK_UNITS = 2 ** 18;
/** Bytes of pieces that one step encodes. */
const STEP_BYTES = 2 ** 14;

const utf8 = new TextEncoder();

export interface EncodingRun {
  readonly text: string;
  /** The ids so far are the first `length`. */
  output: Uint32Array;
  length: number;
  /** Code units before this are taken. */
  taken: number;
  /** Code units before this are known to hold no cut. */
  lookedAt: number;
  bytes: Uint8Array;
  at: number;
  end: number;
  search: PieceSearch | undefined;
}

export class PlainTextEncoder {
  readonly #encoder: BytePairEncoder;
  readonly #scan: PieceScanner;
  readonly #settings: VocabularySettings;

  constructor(encoder: BytePairEncoder, scan: PieceScanner, settings: VocabularySettings) {
    this.#encoder = encoder;
    this.#scan = scan;
    this.#settings = settings;
  }

  begin(text: string): EncodingRun {
    const needsSpace = this.#settings.addPrefixSpace && text !== '' && !/^\p{White_Space}/u.test(text);
    return {
      text: needsSpace ? ` ${text}` : text,
      output: new Uint32Array(64),
      length: 0,
      taken: 0,
      lookedAt: 0,
      bytes: new Uint8Array(0),
      at: 0,
      end: 0,
      search: undefined,
    };
  }

  /** Does a bounded amount of work, about a millisecond. @returns true when the run is done. */
  step(run: EncodingRun): boolean {
    const encoder = this.#encoder;
    encoder.output = run.output;
    encoder.length = run.length;
    const done = this.#advance(run);
    run.output = encoder.output;
    run.length = encoder.length;
    return done;
  }

  #advance(run: EncodingRun): boolean {
    const encoder = this.#encoder;
    if (run.search !== undefined) {
      if (encoder.continueSearch(run.search)) run.search = undefined;
      return false;
    }
    if (run.at === run.end) {
      if (run.taken === run.text.length) return true;
      if (!this.#takeChunk(run)) return false;
    }
    const { bytes, end } = run;
    const scan = this.#scan;
    const pause = Math.min(end, run.at + STEP_BYTES);
    let at = run.at;
    while (at < pause) {
      const pieceEnd = scan(bytes, at, end);
      run.search = encoder.encodePiece(bytes, at, pieceEnd);
      at = pieceEnd;
      if (run.search !== undefined) break;
    }
    run.at = at;
    return at === end && run.search === undefined && run.taken === run.text.length;
  }

  /** @returns false while the end of an unusually long chunk is still looked for, or to pause after it was taken. */
  #takeChunk(run: EncodingRun): boolean {
    const { text, taken } = run;
    const limit = taken + CHUNK_UNITS;
    const cut = text.length <= limit ? text.length : (findCutBefore(text, taken, limit) ?? findCutAfter(text, run));
    if (cut === undefined) return false;
    const part = taken === 0 && cut === text.length ? text : text.slice(taken, cut);
    const chunk = this.#settings.normalization === 'nfc' ? normalizeNfc(part) : part;
    if (run.bytes.length < chunk.length * 3) run.bytes = new Uint8Array(chunk.length * 3);
    run.end = utf8.encodeInto(chunk, run.bytes).written;
    run.at = 0;
    run.taken = cut;
    run.lookedAt = 0;
    return chunk.length <= CHUNK_UNITS;
  }
}

/** The last safe cut before `limit`. */
function findCutBefore(text: string, from: number, limit: number): number | undefined {
  for (let at = limit; at > from + 2; at--) if (isSafeCut(text, at)) return at;
  return undefined;
}

/** The first safe cut after the usual length, else the end; `undefined` when the turn is over first. */
function findCutAfter(text: string, run: EncodingRun): number | undefined {
  const from = Math.max(run.taken + CHUNK_UNITS, run.lookedAt);
  const to = Math.min(text.length, from + LOOK_UNITS);
  for (let at = from; at < to; at++) if (isSafeCut(text, at)) return at;
  run.lookedAt = to;
  return to === text.length ? to : undefined;
}

function isSafeCut(text: string, at: number): boolean {
  const before = text.charCodeAt(at - 1);
  const after = text.charCodeAt(at);
  if (before === 0x0a) return isPlainLetter(after) && isVisible(text.charCodeAt(at - 2));
  return after === 0x20 && isVisible(before) && isPlainLetter(text.charCodeAt(at + 1));
}

/** A to Z, a to z, or a unified ideograph. */
function isPlainLetter(unit: number): boolean {
  const folded = unit | 0x20;
  return (folded >= 0x61 && folded <= 0x7a) || (unit >= 0x4e00 && unit <= 0x9fff);
}

/** Printable ASCII or a unified ideograph: certainly no white space. */
function isVisible(unit: number): boolean {
  return (unit > 0x20 && unit < 0x7f) || (unit >= 0x4e00 && unit <= 0x9fff);
}
