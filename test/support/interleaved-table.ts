import type * as fc from 'fast-check';
import type { Table } from '../../functions/gateway/services/table.ts';

/** A table whose calls are carried out in an order that the scheduler chooses. @param after looks at what stands then. */
export function interleaved(table: Table, scheduler: fc.Scheduler, after: () => Promise<void>): Table {
  const turn = async <Result>(work: () => Promise<Result>): Promise<Result> => {
    await scheduler.schedule(Promise.resolve());
    const result = await work();
    await after();
    return result;
  };
  return {
    read: (key) => turn(() => table.read(key)),
    list: (partition, options) => turn(() => table.list(partition, options)),
    write: (change) => turn(() => table.write(change)),
    writeAll: (changes) => turn(() => table.writeAll(changes)),
    close: () => table.close(),
  };
}
