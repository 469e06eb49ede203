/** Texts that may be longer than a row: a store's row has a largest size (DynamoDB: 400 KB), so what is longer lies in pieces. */
import type { Attributes, Table } from './table.ts';

/** UTF-16 units: at most 300 KB of UTF-8. */
const PIECE_LENGTH = 100_000;

/** What a row holds of a text: the text, or its beginning and the partition of the rest. */
type LongText = { readonly text: string; readonly pieces?: string };

/**
 * Writes what does not fit into one row.
 * @param partition of the row. Each writing has pieces of its own: a reader of the old row never meets those of the new one.
 * @param expiresAt seconds since the epoch.
 * @returns what the row has to hold. It is written last, so that the text is there whole or not at all.
 */
export async function writePieces(table: Table, partition: string, text: string, expiresAt?: number): Promise<LongText> {
  const [first = '', ...rest] = cut(text);
  if (rest.length === 0) return { text: first };
  const pieces = `${partition}/pieces/${crypto.randomUUID()}`;
  const expiry = expiresAt === undefined ? {} : { expiresAt };
  await Promise.all(
    rest.map((piece, index) =>
      table.write({
        type: 'put',
        key: { partition: pieces, sort: String(index).padStart(6, '0') },
        attributes: { text: piece },
        ...expiry,
      }),
    ),
  );
  return { text: first, pieces };
}

/** @param attributes of the row. */
export async function joinPieces(table: Table, { text, pieces }: Attributes): Promise<string> {
  const rest = typeof pieces === 'string' ? await table.list(pieces) : [];
  return [text, ...rest.map((piece) => piece.attributes['text'])].join('');
}

/** @param attributes of the row, which is gone. */
export async function deletePieces(table: Table, { pieces }: Attributes): Promise<void> {
  if (typeof pieces !== 'string') return;
  await Promise.all((await table.list(pieces)).map((piece) => table.write({ type: 'delete', key: piece.key })));
}

function cut(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + PIECE_LENGTH, text.length);
    // The halves of a surrogate pair cannot be stored apart.
    if (end < text.length && (text.charCodeAt(end - 1) & 0xfc00) === 0xd800) end -= 1;
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}
