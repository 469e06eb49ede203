/**
 * JSON documents in the table. A store's row has a largest size (DynamoDB: 400 KB), so a long document lies in pieces beside its row; the row
 * names them and is written last, so that a document is there whole or not at all.
 */
import type { Key, ListOptions, Row, Table } from '../services/table.ts';

/** UTF-16 units: at most 300 KB of UTF-8. */
const PIECE_LENGTH = 100_000;

/** Writes the document, over the one before it. @param expiresAt seconds since the epoch. */
export async function writeDocument(table: Table, key: Key, document: unknown, expiresAt?: number): Promise<void> {
  const [first = '', ...rest] = cut(JSON.stringify(document));
  const expiry = expiresAt === undefined ? {} : { expiresAt };
  // Pieces of their own for each writing: a reader of the old row never meets pieces of the new one.
  const pieces = rest.length === 0 ? undefined : `${key.partition}/pieces/${crypto.randomUUID()}`;
  await Promise.all(
    rest.map((text, index) =>
      table.write({ type: 'put', key: { partition: pieces ?? '', sort: pieceName(index) }, attributes: { text }, ...expiry }),
    ),
  );
  await table.write({ type: 'put', key, attributes: { text: first, ...(pieces === undefined ? {} : { pieces }) }, ...expiry });
}

export async function readDocument(table: Table, key: Key): Promise<unknown> {
  const row = await table.read(key);
  return row === undefined ? undefined : await join(table, row);
}

/** Documents of one partition, in the order of `sort`. */
export async function listDocuments(
  table: Table,
  partition: string,
  options?: ListOptions,
): Promise<readonly { readonly sort: string; readonly document: unknown }[]> {
  const rows = await table.list(partition, options);
  return await Promise.all(rows.map(async (row) => ({ sort: row.key.sort, document: await join(table, row) })));
}

export async function deleteDocument(table: Table, key: Key): Promise<void> {
  const row = await table.read(key);
  if (row === undefined) return;
  await table.write({ type: 'delete', key });
  const pieces = row.attributes['pieces'];
  if (typeof pieces !== 'string') return;
  await Promise.all((await table.list(pieces)).map((piece) => table.write({ type: 'delete', key: piece.key })));
}

async function join(table: Table, { attributes }: Row): Promise<unknown> {
  const { pieces, text } = attributes;
  const rest = typeof pieces === 'string' ? await table.list(pieces) : [];
  return JSON.parse([text, ...rest.map((piece) => piece.attributes['text'])].join(''));
}

function pieceName(index: number): string {
  return String(index).padStart(6, '0');
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
