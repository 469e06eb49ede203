/** Writes to a SQLite table until it is killed, or so many times, and says each answered write's number. Arguments: file, name, count. */
import { createSqliteTable } from '../../functions/drivers/sqlite-table.ts';

const [file = '', name = '', count = 'Infinity'] = process.argv.slice(2);
const table = createSqliteTable(file, { now: Date.now });
for (let n = 1; n <= Number(count); n += 1) {
  const sort = `${process.pid}-${String(n).padStart(8, '0')}`;
  await table.writeAll([
    { type: 'put', key: { partition: name, sort }, attributes: { n } },
    { type: 'update', key: { partition: 'count', sort: name }, add: { n: 1 } },
  ]);
  process.stdout.write(`${n}\n`);
}
