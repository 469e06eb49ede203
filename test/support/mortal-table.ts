import { setTimeout as sleep } from 'node:timers/promises';
import type { Table } from '../../functions/gateway/services/table.ts';

/** A process's way to the table, which can be taken from it: for good, as by `kill -9`, or for a while, as by a pause of the whole process. */
export interface MortalTable {
  readonly table: Table;
  /** No call gets there any more, and none returns. */
  kill(): void;
  /** Calls wait until the process wakes up. */
  suspend(): void;
  wake(): void;
}

/** @param latencyMs how long each call takes: a table elsewhere is not written at once. */
export function createMortalTable(shared: Table, latencyMs = 0): MortalTable {
  let gate: Promise<void> = Promise.resolve();
  let open: () => void = () => undefined;
  const pass = async <Result>(call: () => Promise<Result>): Promise<Result> => {
    if (latencyMs > 0) await sleep(latencyMs);
    await gate;
    const result = await call();
    await gate;
    return result;
  };
  const suspend = () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    gate = promise;
    open = resolve;
  };
  return {
    suspend,
    kill: suspend,
    wake: () => open(),
    table: {
      read: (key) => pass(() => shared.read(key)),
      list: (partition, options) => pass(() => shared.list(partition, options)),
      write: (change) => pass(() => shared.write(change)),
      writeAll: (changes) => pass(() => shared.writeAll(changes)),
      close: () => shared.close(),
    },
  };
}
