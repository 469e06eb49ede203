/**
 * The round trip of values: what a policy masks is replaced by placeholders before a model sees it, and put back in what it answers. One mask
 * belongs to one request; it lives in memory only and dies with the request, so no value can reach a log, a cache or another tenant.
 *
 * A placeholder is `⟦KIND_NUMBER⟧`. Its opener is rare, so that restoring a stream holds nothing until one appears. What a user types in that
 * form is masked like a value: the round trip gives every text back as it was.
 */
import { type JsonText, rewriteJson } from './json-text.ts';
import { labelFor, type SpanKind } from './span.ts';
import type { Finding } from './verdict.ts';

const opener = '⟦';
const closer = '⟧';
/** Longest `KIND_NUMBER` with the spaces that models add. */
const longestName = 40;
const typedPlaceholder = /⟦[^⟦⟧]{0,40}⟧/g;

/** How a text is written: as it is, or as JSON, whose strings have escapes. */
export type TextForm = 'text' | 'json';

export interface RestoreStream {
  push(text: string): string;
  /** The text is over: gives back an opener that never closed. */
  flush(): string;
  /** UTF-16 units that are held back now. */
  readonly heldLength: number;
}

export interface PiiMask {
  /**
   * Replaces what was found: what is to be masked by a placeholder, the same one for the same value, and what is redacted or blocked by its
   * label.
   */
  hide(text: string, findings: readonly Finding[]): string;
  /** The same in JSON, which stays JSON. @param findings in the order of their start */
  hideInJson(json: JsonText, findings: readonly Finding[]): string;
  /** Puts the values back. Case and spaces inside a placeholder do not matter; what is no placeholder of this mask stays as it is. */
  restore(text: string, form?: TextForm): string;
  /** Restores a stream, after the output filter. One for each text. */
  restoreStream(form?: TextForm): RestoreStream;
  /** How many values are masked. */
  readonly size: number;
}

interface Piece {
  readonly start: number;
  readonly end: number;
  /** Undefined for what the policy redacts. */
  readonly placeholder: SpanKind | 'literal' | undefined;
  readonly label: string;
}

/** @param masksTyped whether what looks like a placeholder is masked too: needed where anything is. */
export function createPiiMask(masksTyped: boolean): PiiMask {
  const placeholders = new Map<string, string>();
  const values = new Map<string, string>();
  const counts = new Map<string, number>();

  const placeholderFor = (kind: string, value: string): string => {
    const key = `${kind}:${value}`;
    const known = placeholders.get(key);
    if (known !== undefined) return known;
    const number = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, number);
    const name = `${kind.toUpperCase()}_${number}`;
    placeholders.set(key, `${opener}${name}${closer}`);
    values.set(name, value);
    return `${opener}${name}${closer}`;
  };
  const find = (name: string) => values.get(name.replaceAll(' ', '').toUpperCase());
  const restoreStream = (form: TextForm = 'text') => new PlaceholderReader(find, form);

  const hide = (text: string, findings: readonly Finding[]): string => {
    let hidden = '';
    let position = 0;
    for (const { start, end, placeholder, label } of joinPieces(findPieces(text, findings, masksTyped))) {
      const shown = placeholder === undefined ? label : placeholderFor(placeholder, text.slice(start, end));
      hidden += text.slice(position, start) + shown;
      position = end;
    }
    return hidden + text.slice(position);
  };

  return {
    hide,
    hideInJson(json, findings) {
      // Values come in order, so what lies before one is behind all that follow.
      let first = 0;
      return rewriteJson(json, (text, start) => {
        while ((findings[first]?.end ?? Infinity) <= start) first += 1;
        return hide(text, cutFindings(findings, first, start, start + text.length));
      });
    },
    restore(text, form) {
      const stream = restoreStream(form);
      return stream.push(text) + stream.flush();
    },
    restoreStream,
    get size() {
      return values.size;
    },
  };
}

function findPieces(text: string, findings: readonly Finding[], masksTyped: boolean): Piece[] {
  const typed = (masksTyped ? [...text.matchAll(typedPlaceholder)] : []).map(
    ({ index, 0: { length } }): Piece => ({ start: index, end: index + length, placeholder: 'literal', label: '' }),
  );
  const found = findings
    .filter(({ action }) => action === 'mask' || action === 'redact' || action === 'block')
    .map(
      ({ start, end, kind, action }): Piece => ({
        start,
        end,
        placeholder: action === 'mask' ? kind : undefined,
        label: labelFor(kind),
      }),
    );
  return [...typed, ...found].sort((a, b) => a.start - b.start || b.end - a.end);
}

/** What lies between two places, counted from the first of them. */
function cutFindings(findings: readonly Finding[], first: number, from: number, to: number): readonly Finding[] {
  const cut: Finding[] = [];
  for (let index = first; index < findings.length; index += 1) {
    const finding = findings[index];
    if (finding === undefined || finding.start >= to) break;
    if (finding.end > from) cut.push({ ...finding, start: Math.max(finding.start, from) - from, end: Math.min(finding.end, to) - from });
  }
  return cut;
}

/** Pieces that overlap become one. What one of them redacts is not given back. */
function joinPieces(pieces: readonly Piece[]): readonly Piece[] {
  const joined: Piece[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (last === undefined || piece.start >= last.end) joined.push(piece);
    else {
      const shown = last.placeholder === undefined || piece.placeholder !== undefined ? last : piece;
      joined[joined.length - 1] = { ...shown, start: last.start, end: Math.max(last.end, piece.end) };
    }
  }
  return joined;
}

const openers = /^\\u27e6$/i;
const closers = /^\\u27e7$/i;

/** Reads character by character; in JSON an escape is one character, and brackets may be written as escapes. */
class PlaceholderReader implements RestoreStream {
  readonly #find: (name: string) => string | undefined;
  readonly #form: TextForm;
  /** A placeholder that has begun, as it was written, and its name so far. */
  #pending = '';
  #name = '';
  /** An escape that is not whole. */
  #escape = '';

  constructor(find: (name: string) => string | undefined, form: TextForm) {
    this.#find = find;
    this.#form = form;
  }

  get heldLength(): number {
    return this.#pending.length + this.#escape.length;
  }

  push(text: string): string {
    let released = '';
    for (let index = 0; index < text.length; index += 1) {
      const unit = text.charAt(index);
      if (this.#form === 'text' || (unit !== '\\' && this.#escape === '')) {
        released += this.#read(unit);
        continue;
      }
      this.#escape += unit;
      if (!isWholeEscape(this.#escape)) continue;
      released += this.#read(this.#escape);
      this.#escape = '';
    }
    return released;
  }

  flush(): string {
    const released = this.#pending + this.#escape;
    this.#pending = '';
    this.#escape = '';
    return released;
  }

  #read(unit: string): string {
    const isOpener = unit === opener || openers.test(unit);
    if (this.#pending === '' && !isOpener) return unit;
    const before = this.#pending;
    if (isOpener) {
      this.#pending = unit;
      this.#name = '';
      return before;
    }
    if (unit === closer || closers.test(unit)) {
      this.#pending = '';
      const value = this.#find(this.#name);
      if (value === undefined) return before + unit;
      return this.#form === 'json' ? JSON.stringify(value).slice(1, -1) : value;
    }
    if (this.#name.length >= longestName) {
      this.#pending = '';
      return before + unit;
    }
    this.#pending += unit;
    this.#name += unit;
    return '';
  }
}

/** `\n`, `é`; what is no escape is whole as soon as that is clear. */
function isWholeEscape(text: string): boolean {
  if (text.length < 2) return false;
  if (text[1] !== 'u') return true;
  return text.length === 6 || !/^\\u[\da-f]*$/i.test(text);
}
