import type { Change, Key, ListOptions, Row, Table } from '../gateway/services/table.ts';
import type { Clock } from '../gateway/services.ts';
import { allHold, applyChange, isExpired, type StoredRow } from './table-row.ts';

/** Rows in this process alone: what must not outlive it, and tests. */
export function createMemoryTable(clock: Clock): Table {
  const partitions = new Map<string, Map<string, StoredRow>>();
  const stored = ({ partition, sort }: Key) => partitions.get(partition)?.get(sort);
  const visible = (key: Key): Row | undefined => {
    const row = stored(key);
    return row === undefined || isExpired(row, clock.now()) ? undefined : { key, attributes: row.attributes };
  };
  const store = (key: Key, row: StoredRow | undefined) => {
    const rows = partitions.get(key.partition) ?? new Map<string, StoredRow>();
    if (row === undefined) rows.delete(key.sort);
    else rows.set(key.sort, row);
    if (rows.size === 0) partitions.delete(key.partition);
    else partitions.set(key.partition, rows);
  };
  const isAllowed = (change: Change) => allHold(change.if, stored(change.key), clock.now());

  return {
    async read(key) {
      return visible(key);
    },
    async list(partition, options: ListOptions = {}) {
      const sorts = [...(partitions.get(partition)?.keys() ?? [])].filter((sort) => isListed(sort, options)).sort(compareBytes);
      if (options.newestFirst === true) sorts.reverse();
      const rows = sorts.flatMap((sort) => visible({ partition, sort }) ?? []);
      return options.limit === undefined ? rows : rows.slice(0, options.limit);
    },
    async write(change) {
      const written = isAllowed(change);
      if (written) store(change.key, applyChange(change, stored(change.key)));
      return { written, row: visible(change.key) };
    },
    async writeAll(changes) {
      if (!changes.every(isAllowed)) return false;
      for (const change of changes) store(change.key, applyChange(change, stored(change.key)));
      return true;
    },
    close() {},
  };
}

function isListed(sort: string, { from, until }: ListOptions): boolean {
  return (from === undefined || compareBytes(sort, from) >= 0) && (until === undefined || compareBytes(sort, until) < 0);
}

function compareBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}
