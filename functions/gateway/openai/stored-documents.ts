/**
 * JSON documents in the table. A store's row has a largest size (DynamoDB: 400 KB), so a long document lies in pieces beside its row; the row
 * names them and is written last, so that a document is there whole or not at all.
 */
import { deletePieces, joinPieces, writePieces } from '../services/long-text.ts';
import type { Key, ListOptions, Table } from '../services/table.ts';

/** Writes the document, over the one before it. @param expiresAt seconds since the epoch. */
export async function writeDocument(table: Table, key: Key, document: unknown, expiresAt?: number): Promise<void> {
  const attributes = await writePieces(table, key.partition, JSON.stringify(document), expiresAt);
  await table.write({ type: 'put', key, attributes, ...(expiresAt === undefined ? {} : { expiresAt }) });
}

export async function readDocument(table: Table, key: Key): Promise<unknown> {
  const row = await table.read(key);
  return row === undefined ? undefined : JSON.parse(await joinPieces(table, row.attributes));
}

/** Documents of one partition, in the order of `sort`. */
export async function listDocuments(
  table: Table,
  partition: string,
  options?: ListOptions,
): Promise<readonly { readonly sort: string; readonly document: unknown }[]> {
  const rows = await table.list(partition, options);
  return await Promise.all(
    rows.map(async (row) => ({ sort: row.key.sort, document: JSON.parse(await joinPieces(table, row.attributes)) })),
  );
}

export async function deleteDocument(table: Table, key: Key): Promise<void> {
  const row = await table.read(key);
  if (row === undefined) return;
  await table.write({ type: 'delete', key });
  await deletePieces(table, row.attributes);
}
