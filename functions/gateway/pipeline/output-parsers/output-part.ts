/** What a model's text means: an answer, thoughts, or calls of the caller's tools. */
export type OutputPart =
  | { readonly type: 'content'; readonly text: string }
  | { readonly type: 'reasoning'; readonly text: string }
  /** A call begins: its name is whole. Calls are numbered from 0 in the order in which they begin. */
  | { readonly type: 'tool-call'; readonly call: number; readonly name: string }
  /** A piece of that call's arguments, JSON as the model wrote it. */
  | { readonly type: 'tool-arguments'; readonly call: number; readonly text: string };

/**
 * Reads text as it comes. For every way of cutting a text into pieces the parts are the same once neighbours of a kind are joined
 * (`joinParts`), and nothing of the text is lost: what does not have the form of a call is content.
 */
export interface OutputParser {
  push(text: string): readonly OutputPart[];
  /** The text has ended: what was held back. */
  flush(): readonly OutputPart[];
  /**
   * Where the thoughts end, in characters (code points) of the text, with the tag that ends them; `undefined` while it is not known. A parser without
   * it knows no thoughts.
   */
  thoughtsEnd?(): number | undefined;
}

/** Joins neighbours that say the same kind of thing. */
export function joinParts(parts: Iterable<OutputPart>): readonly OutputPart[] {
  const joined: OutputPart[] = [];
  for (const part of parts) {
    const last = joined.at(-1);
    if (part.type !== 'tool-call' && last?.type === part.type && sameCall(last, part)) {
      joined[joined.length - 1] = { ...part, text: last.text + part.text };
    } else if (part.type === 'tool-call' || part.text !== '') joined.push(part);
  }
  return joined;
}

function sameCall(one: OutputPart, other: OutputPart): boolean {
  return ('call' in one ? one.call : -1) === ('call' in other ? other.call : -1);
}

/** Length of the longest end of `text` that may begin `marker`: what has to be held back. */
export function heldLength(text: string, marker: string): number {
  for (let length = Math.min(text.length, marker.length - 1); length > 0; length -= 1) {
    if (marker.startsWith(text.slice(-length))) return length;
  }
  return 0;
}
