/**
 * The events of one answer as they were sent, numbered from 1, for whoever reads them again: a client that lost its connection, a second request
 * with the same Idempotency-Key, another process. Kept in memory while the answer is made and, when it is to outlive the process, in rows below
 * `generation/ID`: `head`, and one `event/FIRST` for each batch. Batches are cut by time, because a write costs money.
 */

import type { Row, Table } from '../services/table.ts';
import type { Clock } from '../services.ts';

export interface LoggedEvent {
  readonly sequence: number;
  /** What goes over the wire, but for the `id:` line. */
  readonly frame: string;
}

/** Who may read it and how it is read. */
export interface LogHead {
  readonly ownerId: string;
  readonly runnerId: string;
  readonly startedAt: number;
  /** A stream of server-sent events, or one whole JSON answer as the only event. */
  readonly form: 'stream' | 'whole';
  readonly ended: boolean;
  /** Its process died: it ends in an error. */
  readonly isLost?: boolean;
  readonly cancelRequested: boolean;
  /** When the client last said how far it has read, in milliseconds since the epoch. */
  readonly acknowledgedAt: number;
}

export interface TokenLogOptions {
  readonly id: string;
  readonly ownerId: string;
  readonly runnerId: string;
  readonly form: 'stream' | 'whole';
  /** False keeps everything in memory: nothing of the answer is ever written. */
  readonly isKept: boolean;
  readonly batchMs: number;
  readonly retentionSeconds: number;
  /** Completion tokens so far, for whoever settles when this process dies. */
  completionTokens(): number;
  onWriteFailed(error: unknown): void;
}

export class TokenLog {
  readonly #table: Table;
  readonly #clock: Clock;
  readonly options: TokenLogOptions;
  readonly #events: LoggedEvent[] = [];
  #flushed = 0;
  #ended = false;
  #isBroken = false;
  readonly #ending = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #wake = Promise.withResolvers<void>();

  constructor(table: Table, clock: Clock, options: TokenLogOptions) {
    this.#table = table;
    this.#clock = clock;
    this.options = options;
  }

  get ended(): boolean {
    return this.#ended;
  }

  get whenEnded(): Promise<void> {
    return this.#ending.promise;
  }

  /** From now on others find it. */
  async open(): Promise<void> {
    if (!this.options.isKept) return;
    const { id, ownerId, runnerId, form } = this.options;
    const now = this.#clock.now();
    const attributes = { ownerId, runnerId, form, startedAt: now, acknowledgedAt: now, ended: false, cancelRequested: false };
    await this.#table.write({ type: 'put', key: headKey(id), attributes, expiresAt: this.#expiresAt() });
  }

  append(frame: string): LoggedEvent {
    const event = { sequence: this.#events.length + 1, frame };
    this.#events.push(event);
    this.#notify();
    if (this.options.isKept) this.#timer ??= setTimeout(() => void this.#flush(), this.options.batchMs);
    return event;
  }

  /** Nothing follows. Everything is written when this resolves. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    if (this.options.isKept) {
      await this.#flush();
      const end = { type: 'update', key: headKey(this.options.id), set: { ended: true }, if: [{ row: 'present' }] } as const;
      await this.#table.write(end).catch(this.options.onWriteFailed);
    }
    this.#ending.resolve();
    this.#notify();
  }

  /** The events after this number, those to come included. */
  async *follow(after: number, signal: AbortSignal): AsyncGenerator<LoggedEvent> {
    let at = after;
    const stop = () => this.#notify();
    signal.addEventListener('abort', stop, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        const event = this.#events[at];
        if (event !== undefined) {
          at += 1;
          yield event;
        } else if (this.#ended) return;
        else await this.#wake.promise;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(async () => {
      const frames = this.#events.slice(this.#flushed).map((event) => event.frame);
      if (frames.length === 0 || this.#isBroken) return;
      const first = this.#flushed + 1;
      const attributes = { first, frames, completionTokens: this.options.completionTokens() };
      const key = { partition: partitionOf(this.options.id), sort: eventSort(first) };
      await this.#table.write({ type: 'put', key, attributes, expiresAt: this.#expiresAt() });
      this.#flushed += frames.length;
    });
    // The client that reads now has its answer all the same; a gap in what is written would be worse than its end.
    this.#writing = this.#writing.catch((error: unknown) => {
      this.#isBroken = true;
      this.options.onWriteFailed(error);
    });
    return this.#writing;
  }

  #expiresAt(): number {
    return Math.ceil(this.#clock.now() / 1000) + this.options.retentionSeconds;
  }

  #notify(): void {
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    resolve();
  }
}

export async function readLogHead(table: Table, id: string): Promise<LogHead | undefined> {
  const row = await table.read(headKey(id));
  return row === undefined ? undefined : (row.attributes as unknown as LogHead); // `open` alone writes it
}

/** The events that are written so far, from a number on. */
export async function readLog(table: Table, id: string, after: number): Promise<readonly LoggedEvent[]> {
  const partition = partitionOf(id);
  // The batch that holds the next event may begin before it.
  const [before] = await table.list(partition, { from: 'event/', until: eventSort(after + 2), newestFirst: true, limit: 1 });
  const rows = await table.list(partition, { from: before?.key.sort ?? 'event/', until: 'event0' });
  return rows.flatMap(eventsIn).filter((event) => event.sequence > after);
}

function eventsIn(row: Row): readonly LoggedEvent[] {
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

/** Ends a log whose process is gone with a last event, so that every reader ends too. False when it was ended already. */
export async function endLostLog(table: Table, id: string, frame: string, after: number): Promise<boolean> {
  const key = { partition: partitionOf(id), sort: eventSort(after + 1) };
  const put = { type: 'put', key, attributes: { first: after + 1, frames: [frame] }, if: [{ row: 'absent' }] } as const;
  const end = {
    type: 'update',
    key: headKey(id),
    set: { ended: true, isLost: true },
    if: [{ attribute: 'ended', equals: false }],
  } as const;
  return table.writeAll([put, end]);
}

/** Forgets an answer: its events and that there was one. */
export async function deleteLog(table: Table, id: string): Promise<void> {
  for (const row of await table.list(partitionOf(id))) await table.write({ type: 'delete', key: row.key });
}

function partitionOf(id: string): string {
  return `generation/${id}`;
}

function headKey(id: string) {
  return { partition: partitionOf(id), sort: 'head' };
}

function eventSort(first: number): string {
  return `event/${String(first).padStart(8, '0')}`;
}
