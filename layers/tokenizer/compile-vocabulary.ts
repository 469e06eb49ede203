/**
 * Builds a compiled vocabulary from tokens and merges, whatever file they came from.
 *
 * Of all merges that could join two tokens into T, byte pair encoding only ever uses one: the last merge when T's own bytes are encoded
 * alone. (Until T appears nothing has crossed its two outer borders, so its inside went as it goes alone.) The file therefore keeps one
 * pair a token, and a token whose bytes encode to something else alone ("unreachable") keeps none: no merge ever makes it.
 */
import { buildCharacterClasses } from './character-class.ts';
import { VocabularyError } from './errors.ts';
import { buildHashTable, hashBytes, hashPair, idBitsFor } from './hash-table.ts';
import { NO_TOKEN, type VocabularySettings, writeVocabulary } from './vocabulary-file.ts';

/** What a merge makes, and how early it comes. */
export interface Merge {
  readonly rank: number;
  readonly id: number;
}

export interface VocabularySource {
  readonly settings: Omit<VocabularySettings, 'longestToken'>;
  /** Bytes by id, control tokens included; `undefined` is an id without a token. */
  readonly tokens: readonly (Uint8Array | undefined)[];
  readonly controlTokens: readonly { readonly id: number; readonly special: boolean }[];
  /** Tokens that no text becomes: spelled outside the byte alphabet. */
  readonly decodeOnly: ReadonlySet<number>;
  readonly findMerge: (left: number, right: number) => Merge | undefined;
  /** True when a piece that is a token is that token, even one that no merge makes (tiktoken; Hugging Face's `ignore_merges`). */
  readonly wholePieces: boolean;
}

/** Hugging Face's `Digits` asks Rust's own tables, which are one Unicode version ahead of its regular expressions (tokenizers 0.23.2). */
const UNICODE_17_NUMBERS = [...Array(10).keys()].map((digit) => 0x11de0 + digit).concat(0x16ff4, 0x16ff5, 0x16ff6);

const MAX_TOKENS = 2 ** 22;
/** Bounds the time that one step of the encoder takes. */
const MAX_TOKEN_BYTES = 1024;

/** @throws {VocabularyError} a vocabulary that cannot be reproduced exactly. */
export function compileVocabulary(source: VocabularySource): Uint8Array {
  const { tokens, settings } = source;
  if (tokens.length === 0 || tokens.length > MAX_TOKENS) {
    throw new VocabularyError(`A vocabulary has 1 to ${MAX_TOKENS} tokens, this one has ${tokens.length}.`);
  }
  const unreadable = new Set(source.decodeOnly);
  for (const { id } of source.controlTokens) unreadable.add(id);

  const byteTokens = new Uint32Array(256).fill(NO_TOKEN);
  for (const [id, bytes] of tokens.entries()) {
    if (bytes?.length === 1 && !unreadable.has(id) && byteTokens[bytes[0] as number] === NO_TOKEN) byteTokens[bytes[0] as number] = id;
  }

  const mergePairs = new Uint32Array(tokens.length * 2).fill(NO_TOKEN);
  /** 0 for a single byte, else one more than its merge's rank. */
  const ranks = new Uint32Array(tokens.length);
  const pieces: number[] = [];
  const merged: number[] = [];
  for (const [id, bytes] of tokens.entries()) {
    if (bytes === undefined || unreadable.has(id)) continue;
    if (bytes.length > MAX_TOKEN_BYTES) throw new VocabularyError(`Token ${id} has ${bytes.length} bytes, the most is ${MAX_TOKEN_BYTES}.`);
    if (bytes.length === 1) {
      if (byteTokens[bytes[0] as number] === id) pieces.push(id);
      continue;
    }
    const last = findLastMerge(bytes, byteTokens, source.findMerge);
    if (last?.id === id) {
      mergePairs.set([last.left, last.right], id * 2);
      ranks[id] = last.rank + 1;
      merged.push(id);
      pieces.push(id);
    } else if (source.wholePieces) {
      pieces.push(id);
    }
  }

  const tokenOffsets = new Uint32Array(tokens.length + 1);
  for (const [id, bytes] of tokens.entries()) tokenOffsets[id + 1] = (tokenOffsets[id] as number) + (bytes?.length ?? 0);
  const tokenBytes = new Uint8Array(tokenOffsets[tokens.length] as number);
  for (const [id, bytes] of tokens.entries()) if (bytes !== undefined) tokenBytes.set(bytes, tokenOffsets[id]);

  // The parts of a token come from earlier merges, but for the odd token that some vocabularies have.
  const irregular = new Uint8Array(tokens.length);
  for (const id of merged.toSorted((a, b) => (tokens[a]?.length ?? 0) - (tokens[b]?.length ?? 0))) {
    const parts = [mergePairs[id * 2] as number, mergePairs[id * 2 + 1] as number];
    const late = parts.some((part) => irregular[part] === 1 || (ranks[part] as number) >= (ranks[id] as number));
    if (late) irregular[id] = 1;
  }
  const idBits = idBitsFor(tokens.length);
  const pairHash = (id: number) => hashPair(mergePairs[id * 2] as number, mergePairs[id * 2 + 1] as number);
  const classes = buildCharacterClasses(settings.preTokenizer === 'gpt2-digits' ? UNICODE_17_NUMBERS : []);
  const inRankOrder = areInRankOrder(merged, ranks, byteTokens);
  const controlTokens = source.controlTokens.map(({ id, special }) => id * 2 + (special ? 1 : 0)).sort((a, b) => a - b);
  return writeVocabulary({
    settings: { ...settings, longestToken: pieces.reduce((longest, id) => Math.max(longest, tokens[id]?.length ?? 0), 1) },
    tokenOffsets,
    tokenBytes,
    controlTokens: Uint32Array.from(controlTokens),
    tokenSlots: buildHashTable(listBeginnings(pieces, tokens), idBits),
    mergePairs,
    mergeSlots: buildHashTable(
      merged.map((id) => ({ id, hash: pairHash(id) })),
      idBits,
    ),
    mergeRanks: inRankOrder ? new Uint32Array(0) : ranks,
    irregularTokens: Uint32Array.from(merged.filter((id) => irregular[id] === 1)),
    byteTokens,
    classBlocks: classes.blocks,
    classRows: classes.rows,
  });
}

/** Whether ids can stand for ranks: single bytes first, then every merged token in the order of its merge. */
function areInRankOrder(merged: readonly number[], ranks: Uint32Array, byteTokens: Uint32Array): boolean {
  const lastByte = byteTokens.reduce((last, id) => (id === NO_TOKEN ? last : Math.max(last, id)), 0);
  return merged.every(
    (id, index) => id > lastByte && (index === 0 || (ranks[id] as number) > (ranks[merged[index - 1] as number] as number)),
  );
}

/** Every piece with its hash, and every beginning of a piece that is none, under the id after the last. */
function listBeginnings(pieces: readonly number[], tokens: readonly (Uint8Array | undefined)[]): readonly { id: number; hash: number }[] {
  const idOf = new Map<string, number>();
  const entries: { id: number; hash: number }[] = [];
  const spell = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
  for (const id of pieces) {
    const bytes = tokens[id] ?? new Uint8Array();
    idOf.set(spell(bytes), id);
    entries.push({ id, hash: hashBytes(bytes, 0, bytes.length) });
  }
  // The beginnings come after the tokens: so no beginning with the same hash can stand before a token in the table and hide it.
  for (const [spelled, id] of [...idOf]) {
    const bytes = tokens[id] ?? new Uint8Array();
    for (let length = bytes.length - 1; length > 1; length--) {
      const beginning = spelled.slice(0, length);
      if (idOf.has(beginning)) continue;
      idOf.set(beginning, tokens.length);
      entries.push({ id: tokens.length, hash: hashBytes(bytes, 0, length) });
    }
  }
  return entries;
}

interface LastMerge extends Merge {
  readonly left: number;
  readonly right: number;
}

/** Encodes one token's bytes by the book: lowest rank first, leftmost first. `undefined` when they do not end as one token. */
function findLastMerge(
  bytes: Uint8Array,
  byteTokens: Uint32Array,
  findMerge: (left: number, right: number) => Merge | undefined,
): LastMerge | undefined {
  const parts = Array.from(bytes, (byte) => byteTokens[byte] as number);
  if (parts.includes(NO_TOKEN)) return undefined;
  const merges = parts.slice(1).map((right, index) => findMerge(parts[index] as number, right));
  let last: LastMerge | undefined;
  while (merges.length > 0) {
    let best = -1;
    for (const [index, merge] of merges.entries()) {
      if (merge !== undefined && (best < 0 || merge.rank < (merges[best] as Merge).rank)) best = index;
    }
    const merge = merges[best];
    if (merge === undefined) return undefined;
    last = { ...merge, left: parts[best] as number, right: parts[best + 1] as number };
    parts.splice(best, 2, merge.id);
    merges.splice(best, 1);
    if (best > 0) merges[best - 1] = findMerge(parts[best - 1] as number, merge.id);
    if (best < merges.length) merges[best] = findMerge(merge.id, parts[best + 1] as number);
  }
  return last;
}
