/**
 * The round trip of personal data: values are replaced by placeholders before a model sees them, and put back in what it answers. One mask
 * belongs to one request; it lives in memory only and dies with the request, so no value can reach a log, a cache or another tenant.
 *
 * A placeholder is `⟦KIND_NUMBER⟧`. Its opener is rare, so that restoring a stream holds nothing until one appears. What a user types in that
 * form is masked like a value: the round trip gives every text back as it was.
 */
import type { Direction } from './policy.ts';
import type { SafetyFilter } from './safety-filter.ts';
import type { SpanKind } from './span.ts';

const opener = '⟦';
const closer = '⟧';
/** Longest `KIND_NUMBER` with the spaces that models add. */
const longestName = 40;
const typedPlaceholder = /⟦[^⟦⟧]{0,40}⟧/g;

export interface RestoreStream {
  push(text: string): string;
  /** The text is over: gives back an opener that never closed. */
  flush(): string;
}

export interface PiiMask {
  /** Replaces what the filter finds, whatever the policy's action for it. The same value always gets the same placeholder. */
  mask(text: string): string;
  /** Puts the values back. Case and spaces inside a placeholder do not matter; what is no placeholder of this mask stays as it is. */
  restore(text: string): string;
  /**
   * Restores a stream. One for each text. Restoring is the last step, after the output filter, and not for a tool's arguments unless the tool may
   * have the data: they leave the conversation.
   */
  restoreStream(): RestoreStream;
  /** How many values are masked. */
  readonly size: number;
}

/** @param kinds what to mask; denied words never are */
export function createPiiMask(filter: SafetyFilter, kinds: readonly SpanKind[], direction: Direction = 'input'): PiiMask {
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

  const restoreStream = (): RestoreStream => {
    let pending = '';
    return {
      push(text) {
        let released = '';
        for (const character of text) {
          if (character === opener) {
            released += pending;
            pending = character;
          } else if (pending === '') released += character;
          else if (character === closer) {
            released += values.get(normalizeName(pending.slice(1))) ?? pending + character;
            pending = '';
          } else if (pending.length > longestName) {
            released += pending + character;
            pending = '';
          } else pending += character;
        }
        return released;
      },
      flush() {
        const released = pending;
        pending = '';
        return released;
      },
    };
  };

  return {
    mask(text) {
      const typed = [...text.matchAll(typedPlaceholder)].map((match) => ({
        kind: 'literal',
        start: match.index,
        end: match.index + match[0].length,
      }));
      const found = filter.check(text, direction).verdict.findings.filter((finding) => kinds.includes(finding.kind));
      let masked = '';
      let position = 0;
      for (const { kind, start, end } of [...typed, ...found].sort((a, b) => a.start - b.start || b.end - a.end)) {
        if (start < position) continue;
        masked += text.slice(position, start) + placeholderFor(kind, text.slice(start, end));
        position = end;
      }
      return masked + text.slice(position);
    },
    restore(text) {
      const stream = restoreStream();
      return stream.push(text) + stream.flush();
    },
    restoreStream,
    get size() {
      return values.size;
    },
  };
}

function normalizeName(name: string): string {
  return name.replaceAll(' ', '').toUpperCase();
}
