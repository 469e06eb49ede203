/**
 * JSON as text to be judged: its strings as they read, in quotes, with the rest around them, which says what a value is ("ssn": ...). What is
 * replaced in it leaves JSON behind. Arguments of tools are such texts.
 */

interface Segment {
  readonly isString: boolean;
  readonly raw: string;
  /** A string's content without escapes; otherwise as it was written. */
  readonly text: string;
  /** Where that begins in the text of the whole. */
  readonly start: number;
}

export interface JsonText {
  readonly text: string;
  readonly segments: readonly Segment[];
}

/** `[^"\\]` and `\\.` begin with different characters, so this is linear. */
const stringOrRest = /"(?:[^"\\]|\\[\s\S])*"|[^"]+|"/g;
const scalars = /[-+.\w]+/g;

/** Takes anything; what is not a string of JSON is read as it is. */
export function readJsonText(json: string): JsonText {
  const segments: Segment[] = [];
  let text = '';
  for (const [raw] of json.matchAll(stringOrRest)) {
    const content = raw.startsWith('"') ? readString(raw) : undefined;
    segments.push({ isString: content !== undefined, raw, text: content ?? raw, start: text.length + (content === undefined ? 0 : 1) });
    text += content === undefined ? raw : `"${content}"`;
  }
  return { text, segments };
}

/**
 * @param rewrite gives what stands in place of a value's text, which begins at `start` of the whole. A number that is changed becomes a string: a
 *   placeholder cannot stand bare.
 */
export function rewriteJson({ segments }: JsonText, rewrite: (text: string, start: number) => string): string {
  const write = (raw: string, text: string, start: number): string => {
    const rewritten = rewrite(text, start);
    return rewritten === text ? raw : JSON.stringify(rewritten);
  };
  return segments
    .map(({ isString, raw, text, start }) =>
      isString ? write(raw, text, start) : text.replace(scalars, (scalar, at: number) => write(scalar, scalar, start + at)),
    )
    .join('');
}

function readString(raw: string): string | undefined {
  try {
    return String(JSON.parse(raw));
  } catch {
    return undefined;
  }
}
