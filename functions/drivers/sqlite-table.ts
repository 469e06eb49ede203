/**
 * Rows in one SQLite file: the local default. The write-ahead log makes each write whole or absent, also when the process is killed in the
 * middle of it; several processes of one machine may share the file. What is deleted is overwritten in the file, and a moment later out of the log.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoreUnavailableError } from '../gateway/errors.ts';
import type { Attributes, Change, Key, Table } from '../gateway/services/table.ts';
import type { Clock } from '../gateway/services.ts';
import { allHold, applyChange, isExpired, type StoredRow } from './table-row.ts';

/** How long a write waits for another process's. */
const BUSY_TIMEOUT_MS = 5_000;
const SWEEP_EVERY_MS = 60_000;
/** From a deletion to the emptying of the write-ahead log, which still has what was deleted. */
const ERASE_AFTER_MS = 1_000;

/** @param file the database's path, whose folder is made. `maxPages` bounds the file, in pages of 4 KiB. */
export function createSqliteTable(file: string, clock: Clock, options: { readonly maxPages?: number } = {}): Table {
  const database = open(file, options.maxPages);
  const selectOne = database.prepare('SELECT attributes, expires_at FROM rows WHERE partition = ? AND sort = ?');
  const ascending = database.prepare(listStatement('ASC'));
  const descending = database.prepare(listStatement('DESC'));
  // Not REPLACE, which deletes the row and makes another: where deleted bytes are overwritten, that takes three times as long.
  const replace = database.prepare(`INSERT INTO rows (partition, sort, attributes, expires_at) VALUES (?, ?, ?, ?)
    ON CONFLICT (partition, sort) DO UPDATE SET attributes = excluded.attributes, expires_at = excluded.expires_at`);
  const remove = database.prepare('DELETE FROM rows WHERE partition = ? AND sort = ?');
  const begin = database.prepare('BEGIN IMMEDIATE');
  const commit = database.prepare('COMMIT');
  const sweep = database.prepare('DELETE FROM rows WHERE expires_at <= ?');
  let sweepAt = clock.now() + SWEEP_EVERY_MS;
  let erasing: NodeJS.Timeout | undefined;

  const eraseSoon = () => {
    erasing ??= setTimeout(() => {
      erasing = undefined;
      if (!emptyLog(database)) eraseSoon();
    }, ERASE_AFTER_MS).unref();
  };

  const stored = ({ partition, sort }: Key): StoredRow | undefined => {
    const record = selectOne.get(partition, sort);
    return record === undefined ? undefined : readRecord(record);
  };
  const visible = (key: Key, row: StoredRow | undefined) =>
    row === undefined || isExpired(row, clock.now()) ? undefined : { key, attributes: row.attributes };
  const store = ({ partition, sort }: Key, row: StoredRow | undefined) => {
    if (row === undefined) {
      remove.run(partition, sort);
      eraseSoon();
    } else replace.run(partition, sort, JSON.stringify(row.attributes), row.expiresAt ?? null);
  };

  /** Nobody else writes between the reading and the writing in here. */
  const transaction = <Result>(work: () => Result): Result =>
    guard(file, () => {
      begin.run();
      try {
        const result = work();
        commit.run();
        return result;
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK'); // a full disk has rolled back already
        throw error;
      }
    });

  return {
    async read(key) {
      return visible(
        key,
        guard(file, () => stored(key)),
      );
    },
    async list(partition, options = {}) {
      const statement = options.newestFirst === true ? descending : ascending;
      const { from = '', until = null, limit = -1 } = options;
      const records = guard(file, () => statement.all(partition, from, until, until, Math.floor(clock.now() / 1000), limit));
      return records.map((record) => ({ key: { partition, sort: String(record['sort']) }, attributes: readRecord(record).attributes }));
    },
    async write(change) {
      return transaction(() => {
        if (clock.now() >= sweepAt) {
          sweepAt = clock.now() + SWEEP_EVERY_MS;
          if (sweep.run(Math.floor(clock.now() / 1000)).changes > 0) eraseSoon();
        }
        const before = stored(change.key);
        const written = allHold(change.if, before, clock.now());
        const after = written ? applyChange(change, before) : before;
        if (written) store(change.key, after);
        return { written, row: visible(change.key, after) };
      });
    },
    async writeAll(changes) {
      return transaction(() => {
        const isAllowed = (change: Change) => allHold(change.if, stored(change.key), clock.now());
        if (!changes.every(isAllowed)) return false;
        for (const change of changes) store(change.key, applyChange(change, stored(change.key)));
        return true;
      });
    },
    close() {
      clearTimeout(erasing);
      database.close();
    },
  };
}

function open(file: string, maxPages: number | undefined): DatabaseSync {
  return guard(file, () => {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
    if (maxPages !== undefined) database.exec(`PRAGMA max_page_count = ${maxPages}`);
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = NORMAL;
      PRAGMA secure_delete = ON;
      CREATE TABLE IF NOT EXISTS rows (
        partition TEXT NOT NULL,
        sort TEXT NOT NULL,
        attributes TEXT NOT NULL,
        expires_at INTEGER,
        PRIMARY KEY (partition, sort)
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS rows_by_expiry ON rows (expires_at) WHERE expires_at IS NOT NULL;
    `);
    return database;
  });
}

/** False when another process is at the file: then later. Nothing waits for it here, since it would hold up every request. */
function emptyLog(database: DatabaseSync): boolean {
  try {
    database.exec('PRAGMA busy_timeout = 0');
    return database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()?.['busy'] === 0;
  } catch {
    return false;
  } finally {
    database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS}`);
  }
}

function listStatement(order: 'ASC' | 'DESC'): string {
  return `SELECT sort, attributes, expires_at FROM rows
    WHERE partition = ? AND sort >= ? AND (? IS NULL OR sort < ?) AND (expires_at IS NULL OR expires_at > ?)
    ORDER BY sort ${order} LIMIT ?`;
}

function readRecord(record: Readonly<Record<string, unknown>>): StoredRow {
  const expiresAt = record['expires_at'];
  const attributes: Attributes = JSON.parse(String(record['attributes'])); // this driver alone writes them
  return { attributes, expiresAt: typeof expiresAt === 'number' ? expiresAt : undefined };
}

/** A full or read-only disk, a damaged file, a lock that another process keeps: the caller is told to try later, the log why. */
function guard<Result>(file: string, work: () => Result): Result {
  try {
    return work();
  } catch (error) {
    if (error instanceof TypeError) throw error;
    throw new StoreUnavailableError(`the SQLite file ${file}`, { cause: error });
  }
}
