import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createMemoryTable } from '../../functions/drivers/memory-table.ts';
import type { Change, Condition, Key, Table } from '../../functions/gateway/services/table.ts';
import type { Clock } from '../../functions/gateway/services.ts';

const START = Date.UTC(2026, 10, 24, 9, 0, 0);

/** What every driver of the port `Table` must do. `runs` is how many random histories are compared with the memory driver. */
export function testTable(create: (clock: Clock) => Promise<Table> | Table, runs = 100): void {
  let now = START;
  const clock = { now: () => now };
  let table: Table;
  let count = 0;
  const key = (sort = 'row'): Key => ({ partition: `p${count}`, sort });

  beforeAll(async () => {
    table = await create(clock);
  });
  afterAll(() => table.close());
  const fresh = () => {
    count += 1;
    now = START;
  };

  it('keeps what was put, whatever JSON it is', async () => {
    fresh();
    const attributes = {
      text: 'é 🐎 "',
      number: -1.5,
      whole: 2 ** 53 - 1,
      yes: true,
      nothing: null,
      list: [1, 'a', { deep: [] }],
      map: { a: {} },
    };
    expect(await table.write({ type: 'put', key: key(), attributes })).toEqual({ written: true, row: { key: key(), attributes } });
    expect(await table.read(key())).toEqual({ key: key(), attributes });
    expect(await table.read(key('other'))).toBeUndefined();
  });

  it('replaces the whole row on put, and only the named attributes on update', async () => {
    fresh();
    await table.write({ type: 'put', key: key(), attributes: { a: 1, b: 2 } });
    await table.write({ type: 'update', key: key(), set: { b: 3, c: 4 }, remove: ['a'] });
    expect((await table.read(key()))?.attributes).toEqual({ b: 3, c: 4 });
    await table.write({ type: 'put', key: key(), attributes: { d: 5 } });
    expect((await table.read(key()))?.attributes).toEqual({ d: 5 });
  });

  it('counts from 0 and gives the row after the change', async () => {
    fresh();
    await table.write({ type: 'update', key: key(), add: { n: 5 } });
    const result = await table.write({ type: 'update', key: key(), add: { n: -2, m: 0.5 } });
    expect(result).toEqual({ written: true, row: { key: key(), attributes: { n: 3, m: 0.5 } } });
  });

  it('creates a row once', async () => {
    fresh();
    const create = (by: string): Change => ({ type: 'put', key: key(), attributes: { by }, if: [{ row: 'absent' }] });
    expect(await table.write(create('one'))).toMatchObject({ written: true });
    expect(await table.write(create('two'))).toEqual({ written: false, row: { key: key(), attributes: { by: 'one' } } });
  });

  it.each<[string, Condition, boolean]>([
    ['an attribute that is there', { attribute: 'n', is: 'present' }, true],
    ['an attribute that is not there', { attribute: 'x', is: 'present' }, false],
    ['absence', { attribute: 'x', is: 'absent' }, true],
    ['an equal text', { attribute: 'text', equals: 'abc' }, true],
    ['another text', { attribute: 'text', equals: 'ab' }, false],
    ['an equal truth', { attribute: 'yes', equals: true }, true],
    ['equality of what is not there', { attribute: 'x', equals: 0 }, false],
    ['at most, exactly', { attribute: 'n', atMost: 10 }, true],
    ['at most, passed', { attribute: 'n', atMost: 9 }, false],
    ['at least, exactly', { attribute: 'n', atLeast: 10 }, true],
    ['at least, missed', { attribute: 'n', atLeast: 11 }, false],
    ['an absent count as 0, at most 0', { attribute: 'x', atMost: 0 }, true],
    ['an absent count as 0, at most -1', { attribute: 'x', atMost: -1 }, false],
    ['an absent count as 0, at least 1', { attribute: 'x', atLeast: 1 }, false],
    ['a row that is there', { row: 'present' }, true],
    ['a row that is not there', { row: 'absent' }, false],
  ])('decides on %s', async (_, condition, expected) => {
    fresh();
    await table.write({ type: 'put', key: key(), attributes: { n: 10, text: 'abc', yes: true } });
    const { written } = await table.write({ type: 'update', key: key(), set: { done: 1 }, if: [condition] });
    expect(written).toBe(expected);
    expect((await table.read(key()))?.attributes).toEqual({ n: 10, text: 'abc', yes: true, ...(expected ? { done: 1 } : {}) });
  });

  it('lets no more through than a condition allows, however many write at once', async () => {
    fresh();
    const take = (): Change => ({ type: 'update', key: key(), add: { taken: 7 }, if: [{ attribute: 'taken', atMost: 100 - 7 }] });
    const results = await Promise.all(Array.from({ length: 30 }, () => table.write(take())));
    expect(results.filter((result) => result.written)).toHaveLength(14);
    expect((await table.read(key()))?.attributes).toEqual({ taken: 98 });
  });

  it('lists one partition in the order of bytes, within bounds', async () => {
    fresh();
    const sorts = ['a', 'b', 'B', 'a/1', 'é', '🐎', '\uffee', '10', '9'];
    for (const sort of sorts) await table.write({ type: 'put', key: key(sort), attributes: { name: sort } });
    await table.write({ type: 'put', key: { partition: `p${count}x`, sort: 'a' }, attributes: {} });
    const list = async (options?: Parameters<Table['list']>[1]) => (await table.list(`p${count}`, options)).map((row) => row.key.sort);
    const ordered = [...sorts].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
    expect(await list()).toEqual(ordered);
    expect(await list({ newestFirst: true })).toEqual([...ordered].reverse());
    expect(await list({ limit: 2 })).toEqual(ordered.slice(0, 2));
    expect(await list({ from: 'B' })).toEqual(ordered.slice(ordered.indexOf('B')));
    expect(await list({ from: 'a', until: 'b' })).toEqual(['a', 'a/1']);
    expect(await list({ until: 'a', newestFirst: true, limit: 1 })).toEqual(['B']);
    expect(await list({ from: 'a', until: 'b', newestFirst: true, limit: 1 })).toEqual(['a/1']);
  });

  it('shows no row whose time has passed, and lets it be created anew', async () => {
    fresh();
    const expiresAt = START / 1000 + 60;
    await table.write({ type: 'put', key: key(), attributes: { old: 1 }, expiresAt });
    await table.write({ type: 'put', key: key('stays'), attributes: {} });
    now = START + 59_999;
    expect(await table.read(key())).toBeDefined();
    now = START + 60_000;
    expect(await table.read(key())).toBeUndefined();
    expect((await table.list(`p${count}`)).map((row) => row.key.sort)).toEqual(['stays']);
    expect(await table.write({ type: 'update', key: key(), set: { n: 1 }, if: [{ row: 'present' }] })).toEqual({
      written: false,
      row: undefined,
    });
    expect(await table.write({ type: 'put', key: key(), attributes: { fresh: 1 }, if: [{ row: 'absent' }] })).toMatchObject({
      written: true,
    });
    now = START + 10 * 60_000;
    expect((await table.read(key()))?.attributes).toEqual({ fresh: 1 });
  });

  it('deletes under a condition', async () => {
    fresh();
    await table.write({ type: 'put', key: key(), attributes: { owner: 'a' } });
    expect(await table.write({ type: 'delete', key: key(), if: [{ attribute: 'owner', equals: 'b' }] })).toMatchObject({ written: false });
    expect(await table.write({ type: 'delete', key: key(), if: [{ attribute: 'owner', equals: 'a' }] })).toEqual({
      written: true,
      row: undefined,
    });
    expect(await table.read(key())).toBeUndefined();
  });

  it('writes all changes or none', async () => {
    fresh();
    const pay = (amount: number): Change[] => [
      { type: 'update', key: key('from'), add: { balance: -amount }, if: [{ attribute: 'balance', atLeast: amount }] },
      { type: 'update', key: key('to'), add: { balance: amount } },
    ];
    await table.write({ type: 'put', key: key('from'), attributes: { balance: 10 } });
    const results = await Promise.all(Array.from({ length: 6 }, () => table.writeAll(pay(3))));
    expect(results.filter(Boolean)).toHaveLength(3);
    expect((await table.read(key('from')))?.attributes).toEqual({ balance: 1 });
    expect((await table.read(key('to')))?.attributes).toEqual({ balance: 9 });
  });

  it('does what the memory table does, over random histories', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(changes, { maxLength: 12 }), async (history) => {
        fresh();
        const model = createMemoryTable(clock);
        for (const [sort, make] of history) {
          const change = make(key(sort));
          expect(await table.write(change)).toEqual(await model.write(change));
        }
        expect(await table.list(`p${count}`)).toEqual(await model.list(`p${count}`));
      }),
      { numRuns: runs },
    );
  });
}

const name = fc.constantFrom('a', 'b/c', 'name', 'Größe');
/** Only numbers are compared: moto fails on the comparison of a text with a number, which DynamoDB answers with no. */
const counter = fc.constantFrom('a', 'b/c');
const condition: fc.Arbitrary<Condition> = fc.oneof(
  fc.record({ row: fc.constantFrom('absent' as const, 'present' as const) }),
  fc.record({ attribute: name, is: fc.constantFrom('absent' as const, 'present' as const) }),
  // To moto 0 is false and 1 is true, as to Python, but not to DynamoDB: numbers and truth values do not meet.
  fc.record({ attribute: counter, equals: fc.oneof(fc.integer({ min: -2, max: 2 }), fc.constantFrom('x', 'y')) }),
  fc.record({ attribute: fc.constantFrom('name', 'Größe'), equals: fc.oneof(fc.constantFrom('x', 'y'), fc.boolean()) }),
  fc.record({ attribute: counter, atMost: fc.integer({ min: -3, max: 3 }) }),
  fc.record({ attribute: counter, atLeast: fc.integer({ min: -3, max: 3 }) }),
);
const guard = fc.option(fc.array(condition, { maxLength: 2 }), { nil: [] });
const numbers = fc.dictionary(counter, fc.integer({ min: -3, max: 3 }));
/** Texts and numbers have their own names, since adding to a text is an error. */
const changes = fc.tuple(
  fc.constantFrom('one', 'two'),
  fc.oneof(
    fc.tuple(numbers, guard).map(
      ([attributes, condition]) =>
        (key: Key): Change => ({ type: 'put', key, attributes, if: condition }),
    ),
    fc
      .tuple(fc.dictionary(fc.constantFrom('name', 'Größe'), fc.constantFrom('x', 'y', true)), numbers, guard)
      .filter(([set, add]) => Object.keys(set).length + Object.keys(add).length > 0) // moto fails on an update of nothing
      .map(
        ([set, add, condition]) =>
          (key: Key): Change => ({ type: 'update', key, set, add, if: condition }),
      ),
    fc.tuple(name, guard).map(
      ([remove, condition]) =>
        (key: Key): Change => ({ type: 'update', key, remove: [remove], if: condition }),
    ),
    guard.map(
      (condition) =>
        (key: Key): Change => ({ type: 'delete', key, if: condition }),
    ),
  ),
);
