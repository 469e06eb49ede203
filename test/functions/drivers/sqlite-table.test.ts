import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, describe, expect, it } from 'vitest';
import { createSqliteTable } from '../../../functions/drivers/sqlite-table.ts';
import { StoreUnavailableError } from '../../../functions/gateway/errors.ts';
import { testTable } from '../../contracts/table.ts';

const folder = mkdtempSync(join(tmpdir(), 'penstock-table-'));
afterAll(() => rmSync(folder, { recursive: true }));
const clock = { now: Date.now };
const writer = new URL('../../support/table-writer.ts', import.meta.url).pathname;

describe('SQLite table', () => {
  testTable((contractClock) => createSqliteTable(join(folder, 'contract', 'table.sqlite'), contractClock));

  it('has every write that was answered before its process was killed', async () => {
    const file = join(folder, 'killed.sqlite');
    for (const acknowledged of [1, 57, 300]) {
      const child = spawn(process.execPath, [writer, file, `kill-${acknowledged}`]);
      const lastSeen = await killAfter(child, acknowledged);
      const table = createSqliteTable(file, clock);
      const rows = await table.list(`kill-${acknowledged}`);
      expect(rows.length).toBeGreaterThanOrEqual(lastSeen);
      expect((await table.read({ partition: 'count', sort: `kill-${acknowledged}` }))?.attributes['n']).toBe(rows.length);
      table.close();
    }
  });

  it('lets several processes write at once and loses nothing', async () => {
    const file = join(folder, 'shared.sqlite');
    const children = Array.from({ length: 4 }, () => spawn(process.execPath, [writer, file, 'shared', '200'], { stdio: 'ignore' }));
    expect(await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]))).toEqual([0, 0, 0, 0]);
    const table = createSqliteTable(file, clock);
    expect((await table.read({ partition: 'count', sort: 'shared' }))?.attributes['n']).toBe(800);
    table.close();
  });

  it('keeps no byte of what was deleted, or whose time was over, in the file or its log', async () => {
    const time = { at: Date.now(), now: () => time.at };
    const file = join(folder, 'erased.sqlite');
    const table = createSqliteTable(file, time);
    const bytes = () =>
      Buffer.concat([file, `${file}-wal`].filter((name) => existsSync(name)).map((name) => readFileSync(name))).toString('latin1');
    for (let n = 0; n < 50; n += 1) {
      const text = `SECRET-${n} `.repeat(40);
      const key = { partition: 'erased', sort: String(n) };
      await table.write({ type: 'put', key, attributes: { text }, ...(n % 2 === 0 ? {} : { expiresAt: Math.floor(time.at / 1000) + 10 }) });
    }
    await table.write({ type: 'put', key: { partition: 'kept', sort: '1' }, attributes: { text: 'KEPT' } });
    expect(bytes()).toContain('SECRET-');
    for (let n = 0; n < 50; n += 2) await table.write({ type: 'delete', key: { partition: 'erased', sort: String(n) } });
    time.at += 120_000; // the next write takes along what is over
    await table.write({ type: 'put', key: { partition: 'kept', sort: '2' }, attributes: { text: 'KEPT' } });
    await expect.poll(bytes, { timeout: 10_000 }).not.toContain('SECRET-');
    expect(bytes()).toContain('KEPT');
    table.close();
  });

  it('says that the store is not available when the file is no database or cannot be made', () => {
    const file = join(folder, 'damaged.sqlite');
    writeFileSync(file, 'This is no database, however long one looks at it. '.repeat(100));
    expect(() => createSqliteTable(file, clock)).toThrow(StoreUnavailableError);
    expect(() => createSqliteTable(join(file, 'table.sqlite'), clock)).toThrow(StoreUnavailableError);
  });

  it('says so when the disk is full, and works again afterwards', async () => {
    const table = createSqliteTable(join(folder, 'full.sqlite'), clock, { maxPages: 12 });
    const put = (sort: string, text: string) => table.write({ type: 'put', key: { partition: 'p', sort }, attributes: { text } });
    await put('small', 'x');
    await expect(put('large', 'x'.repeat(200_000))).rejects.toThrow(StoreUnavailableError);
    expect(await table.list('p')).toHaveLength(1);
    await put('small too', 'x');
    expect(await table.list('p')).toHaveLength(2);
    table.close();
    chmodSync(join(folder, 'full.sqlite'), 0o600);
  });
});

/** Kills the child without warning when it has answered so many writes; gives the last number that it answered. */
async function killAfter(child: ChildProcess, acknowledged: number): Promise<number> {
  if (child.stdout === null) throw new Error('the child has a pipe');
  const exited = once(child, 'exit');
  let lastSeen = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    lastSeen = Number(line);
    if (lastSeen === acknowledged) child.kill('SIGKILL');
  }
  await exited;
  return lastSeen;
}
