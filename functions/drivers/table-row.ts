/** What a change does to a row, for the drivers that compute it themselves. */
import type { Attributes, Change, Condition } from '../gateway/services/table.ts';

export interface StoredRow {
  readonly attributes: Attributes;
  /** Seconds since the epoch. */
  readonly expiresAt: number | undefined;
}

export function isExpired(row: StoredRow, nowMs: number): boolean {
  return row.expiresAt !== undefined && row.expiresAt * 1000 <= nowMs;
}

export function allHold(conditions: readonly Condition[] = [], row: StoredRow | undefined, nowMs: number): boolean {
  return conditions.every((condition) => holds(condition, row, nowMs));
}

function holds(condition: Condition, row: StoredRow | undefined, nowMs: number): boolean {
  if ('row' in condition) return (row === undefined || isExpired(row, nowMs)) === (condition.row === 'absent');
  const value = row?.attributes[condition.attribute];
  if ('is' in condition) return (value === undefined) === (condition.is === 'absent');
  if ('equals' in condition) return value === condition.equals;
  const count = value === undefined ? 0 : value;
  if (typeof count !== 'number') return false;
  return 'atMost' in condition ? count <= condition.atMost : count >= condition.atLeast;
}

/** The row after the change; `undefined` when there is none any more. Throws on adding to what is not a number. */
export function applyChange(change: Change, row: StoredRow | undefined): StoredRow | undefined {
  switch (change.type) {
    case 'delete':
      return undefined;
    case 'put':
      return { attributes: change.attributes, expiresAt: change.expiresAt };
    case 'update': {
      const attributes = { ...row?.attributes, ...change.set };
      for (const [name, amount] of Object.entries(change.add ?? {})) {
        const before = attributes[name] ?? 0;
        if (typeof before !== 'number') throw new TypeError(`${name} is not a number: nothing can be added to it`);
        attributes[name] = before + amount;
      }
      for (const name of change.remove ?? []) delete attributes[name];
      return { attributes, expiresAt: change.expiresAt ?? row?.expiresAt };
    }
  }
}
