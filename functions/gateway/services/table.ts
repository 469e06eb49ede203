/**
 * The port for everything that outlives a request: rows in order below a partition, changed by conditional writes. Every invariant of the
 * gateway (nothing spent twice, nothing run twice) is one such condition, decided where the row lies, so that no process reads first and
 * writes later.
 */

/** What an attribute can hold. `undefined` inside is not allowed: leave the name out. */
export type Value = string | number | boolean | null | readonly Value[] | { readonly [name: string]: Value };
export type Attributes = Readonly<Record<string, Value>>;

/** Rows of one partition are kept in the order of `sort`, compared by UTF-8 bytes. Neither part is empty. */
export interface Key {
  readonly partition: string;
  readonly sort: string;
}

export interface Row {
  readonly key: Key;
  readonly attributes: Attributes;
}

/** Holds or not, for the row as it is at the moment of the write. In comparisons an attribute that is not there counts as 0. */
export type Condition =
  /** A row whose time has passed is absent. */
  | { readonly row: 'absent' | 'present' }
  | { readonly attribute: string; readonly is: 'absent' | 'present' }
  | { readonly attribute: string; readonly equals: string | number | boolean }
  | { readonly attribute: string; readonly atMost: number }
  | { readonly attribute: string; readonly atLeast: number };

/** `expiresAt` is in seconds since the epoch: from then on reads do not show the row, and some time later it is gone. */
export type Change =
  /** The row becomes exactly these attributes. */
  | {
      readonly type: 'put';
      readonly key: Key;
      readonly attributes: Attributes;
      readonly expiresAt?: number;
      readonly if?: readonly Condition[];
    }
  /** The row keeps what is not named; an absent row comes into being. One attribute is named at most once. */
  | {
      readonly type: 'update';
      readonly key: Key;
      readonly set?: Attributes;
      readonly add?: Readonly<Record<string, number>>;
      readonly remove?: readonly string[];
      readonly expiresAt?: number;
      readonly if?: readonly Condition[];
    }
  | { readonly type: 'delete'; readonly key: Key; readonly if?: readonly Condition[] };

/** `row` is the row as it is now: after the change, or as it stands against the condition. */
export type WriteResult = { readonly written: boolean; readonly row: Row | undefined };

export interface ListOptions {
  /** First `sort` that is listed. */
  readonly from?: string;
  /** First `sort` that is not listed any more. */
  readonly until?: string;
  readonly newestFirst?: boolean;
  readonly limit?: number;
}

/** @throws {StoreUnavailableError} by every call, when the store cannot be reached or written. */
export interface Table {
  /** Sees every write that was answered before. */
  read(key: Key): Promise<Row | undefined>;
  /** In the order of `sort`. */
  list(partition: string, options?: ListOptions): Promise<readonly Row[]>;
  write(change: Change): Promise<WriteResult>;
  /** All changes or none, each under its condition: true when written. At most 100, each of another row. */
  writeAll(changes: readonly Change[]): Promise<boolean>;
  close(): void;
}
