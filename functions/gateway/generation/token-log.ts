/**
 * The events of one answer as they were sent, numbered from 1, for whoever reads them again: a client that lost its connection, a second request
 * with the same Idempotency-Key, another process. Rows below `generation/ID`: `head`, `plan` when another process may go on with it, and one
 * `event/FIRST` for each batch. `running-log.ts` writes them.
 */

import { deletePieces, joinPieces, writePieces } from '../services/long-text.ts';
import type { Attributes, Condition, Row, Table } from '../services/table.ts';

export interface LoggedEvent {
  readonly sequence: number;
  /** What goes over the wire, but for the `id:` line. */
  readonly frame: string;
}

/** Who may read it and how it is read. */
export interface LogHead {
  readonly ownerId: string;
  /** The process that works on it, and since when: milliseconds since the epoch. */
  readonly runnerId: string;
  readonly startedAt: number;
  /** A stream of server-sent events, or one whole JSON answer as the only event. */
  readonly form: 'stream' | 'whole';
  readonly ended: boolean;
  /** Its process died, and no other will go on: it ends in an error. */
  readonly isLost?: boolean;
  /** Another process can go on with it. */
  readonly canGoOn?: boolean;
  /** How often another one did. */
  readonly takeovers?: number;
  /** It is held and named in the queue, and no process has begun it. */
  readonly isQueued?: boolean;
  /** How long after its process's last sign of life the queue has named it again. Until then nobody else goes on. */
  readonly queueGraceMs?: number;
  /** Another process can begin it, and not go on with what was begun. */
  readonly onlyBegins?: boolean;
  /** How long after its client's last sign of life it goes on; null for always. */
  readonly leaseMs?: number | null;
  readonly cancelRequested: boolean;
  /** When the client last said how far it has read, in milliseconds since the epoch. */
  readonly acknowledgedAt: number;
}

export async function readLogHead(table: Table, id: string): Promise<LogHead | undefined> {
  const row = await table.read(headKey(id));
  return row === undefined ? undefined : (row.attributes as unknown as LogHead); // `open` alone writes it
}

/** The events that are written so far, from a number on. */
export async function readLog(table: Table, id: string, after: number): Promise<readonly LoggedEvent[]> {
  return (await readBatches(table, id, after)).flatMap(eventsIn).filter((event) => event.sequence > after);
}

/** The rows that hold these events; the first may begin before. */
export async function readBatches(table: Table, id: string, after: number): Promise<readonly Row[]> {
  const partition = partitionOf(id);
  // The batch that holds the next event may begin before it.
  const [before] = await table.list(partition, { from: 'event/', until: eventSort(after + 2), newestFirst: true, limit: 1 });
  const rows = await table.list(partition, { from: before?.key.sort ?? 'event/', until: 'event0' });
  return await Promise.all(rows.map((row) => withLongFrame(table, row)));
}

/** A frame that is too long for a row is the only one of its batch. */
async function withLongFrame(table: Table, row: Row): Promise<Row> {
  if (typeof row.attributes['pieces'] !== 'string') return row;
  return { ...row, attributes: { ...row.attributes, frames: [await joinPieces(table, row.attributes)] } };
}

/** What the row of a batch holds of its frames. */
export async function writeFrames(table: Table, id: string, frames: readonly string[], expiresAt: number): Promise<Attributes> {
  const [first = '', ...others] = frames;
  if (others.length > 0) return { frames };
  const long = await writePieces(table, partitionOf(id), first, expiresAt);
  return long.pieces === undefined ? { frames } : { frames: [''], ...long };
}

/** So many of the frames as a row holds: one at least. */
export function cutBatch(frames: readonly string[]): readonly string[] {
  let bytes = 0;
  const end = frames.findIndex((frame) => {
    bytes += Buffer.byteLength(frame);
    return bytes > MOST_BATCH_BYTES;
  });
  return end < 0 ? frames : frames.slice(0, Math.max(1, end));
}

/** A row of DynamoDB has 400 KB, for the names and ids beside its frames, too. */
const MOST_BATCH_BYTES = 300_000;

/** How the rest of an answer is made, for another process. */
export async function keepPlan(table: Table, id: string, plan: string, expiresAt: number): Promise<void> {
  const { text, ...rest } = await writePieces(table, partitionOf(id), plan, expiresAt);
  await table.write({ type: 'put', key: planKey(id), attributes: { plan: text, ...rest }, expiresAt });
}

export async function readPlan(table: Table, id: string): Promise<string | undefined> {
  const { plan, ...rest } = (await table.read(planKey(id)))?.attributes ?? {};
  return plan === undefined ? undefined : await joinPieces(table, { ...rest, text: plan });
}

export function eventsIn(row: Row): readonly LoggedEvent[] {
  const { first, frames } = row.attributes;
  if (typeof first !== 'number' || !Array.isArray(frames)) return [];
  return frames.map((frame, index) => ({ sequence: first + index, frame: String(frame) }));
}

/** What a process that died had got from the model, as far as it wrote it down. */
export async function countLoggedTokens(table: Table, id: string): Promise<number> {
  const [last] = await table.list(partitionOf(id), { from: 'event/', until: 'event0', newestFirst: true, limit: 1 });
  const count = last?.attributes['completionTokens'];
  return typeof count === 'number' ? count : 0;
}

/** The process that runs it sees the request within a second. False when there is no such log. */
export async function requestCancel(table: Table, id: string): Promise<boolean> {
  const change = { type: 'update', key: headKey(id), set: { cancelRequested: true }, if: [{ row: 'present' }] } as const;
  return (await table.write(change)).written;
}

export async function acknowledge(table: Table, id: string, atMs: number): Promise<void> {
  await table.write({ type: 'update', key: headKey(id), set: { acknowledgedAt: atMs }, if: [{ row: 'present' }] });
}

/**
 * Ends a log whose process is gone with a last event behind all that are written and behind `after`, so that every reader ends too. Does nothing
 * when it was ended already or another process has it.
 */
export async function endLostLog(
  table: Table,
  id: string,
  runnerId: string,
  { frame, after, expiresAt }: { readonly frame: string; readonly after: number; readonly expiresAt: number },
): Promise<void> {
  const batches = await readBatches(table, id, after);
  const first = Math.max(after, batches.flatMap(eventsIn).at(-1)?.sequence ?? 0) + 1;
  const fence = fenceBehind(batches.at(-1));
  const place: Condition = fence?.first === first ? { attribute: 'fence', equals: fence.name } : { row: 'absent' };
  await table.writeAll([
    { type: 'put', key: eventKey(id, first), attributes: { first, frames: [frame] }, expiresAt, if: [place] },
    { type: 'update', key: headKey(id), set: { ended: true, isLost: true }, if: stillOf(runnerId) },
  ]);
}

/** What a process left behind the last event that took the answer over and died before it wrote anything. */
export function fenceBehind(last: Row | undefined): { readonly first: number; readonly name: string } | undefined {
  const { first, frames, fence } = last?.attributes ?? {};
  const isEmpty = Array.isArray(frames) && frames.length === 0;
  return isEmpty && typeof first === 'number' && typeof fence === 'string' ? { first, name: fence } : undefined;
}

/** What was answered at once to the request for an answer that is made later, for who sends that request again. */
export async function keepStart(table: Table, id: string, text: string, expiresAt: number): Promise<void> {
  const attributes = await writePieces(table, partitionOf(id), text, expiresAt);
  await table.write({ type: 'put', key: startKey(id), attributes, expiresAt });
}

export async function findStart(table: Table, id: string): Promise<string | undefined> {
  const row = await table.read(startKey(id));
  return row === undefined ? undefined : await joinPieces(table, row.attributes);
}

/** From now on it is whoever's takes it from the queue. False when it is not this process's any more. */
export async function markQueued(table: Table, id: string, runnerId: string, queueGraceMs: number): Promise<boolean> {
  const change = { type: 'update', key: headKey(id), set: { isQueued: true, queueGraceMs }, if: stillOf(runnerId) } as const;
  return (await table.write(change)).written;
}

/** From now on nobody goes on with it. False when somebody does already, or it has ended. */
export async function markLost(table: Table, id: string, runnerId: string): Promise<boolean> {
  const change = { type: 'update', key: headKey(id), set: { isLost: true }, if: stillOf(runnerId) } as const;
  return (await table.write(change)).written;
}

/** Holds while this process has it and it has not ended. */
export function stillOf(runnerId: string) {
  return [
    { attribute: 'ended', equals: false },
    { attribute: 'runnerId', equals: runnerId },
  ] as const satisfies readonly Condition[];
}

/** Forgets an answer: its events and that there was one. */
export async function deleteLog(table: Table, id: string): Promise<void> {
  for (const row of await table.list(partitionOf(id))) {
    await table.write({ type: 'delete', key: row.key });
    await deletePieces(table, row.attributes);
  }
}

function partitionOf(id: string): string {
  return `generation/${id}`;
}

export function headKey(id: string) {
  return { partition: partitionOf(id), sort: 'head' };
}

function startKey(id: string) {
  return { partition: partitionOf(id), sort: 'start' };
}

function planKey(id: string) {
  return { partition: partitionOf(id), sort: 'plan' };
}

/** Of the batch whose first event has this number. */
export function eventKey(id: string, first: number) {
  return { partition: partitionOf(id), sort: eventSort(first) };
}

/**
 * Whose batches these are, once it is not the process that began any more. A batch without frames under this name stands where the next one of a
 * process would be that was taken for dead: so that one finds out that it was.
 */
export function fenceOf(runnerId: string, takeovers: number): string {
  return `${runnerId}/${takeovers}`;
}

function eventSort(first: number): string {
  return `event/${String(first).padStart(8, '0')}`;
}
