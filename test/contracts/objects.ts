/** The contract of the port `Objects`. Every driver runs it. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Objects } from '../../functions/gateway/services/objects.ts';

const JSON_TYPE = { contentType: 'application/json' };
const once = { ...JSON_TYPE, onlyIfAbsent: true };

/** What every driver of the port `Objects` must do. `runs` is how many random contents are written and read. */
export function testObjects(create: () => Promise<Objects> | Objects, runs = 30): void {
  let objects: Objects;
  let count = 0;
  const fresh = () => {
    count += 1;
    return `requests/gen_${count}/request.json`;
  };
  const bytes = (text: string) => new TextEncoder().encode(text);

  beforeAll(async () => {
    objects = await create();
  });
  afterAll(() => objects.close());

  it('gives back every byte, none and a megabyte of them too', async () => {
    const megabyte = Uint8Array.from({ length: 2 ** 20 }, (_, index) => (index * 2_654_435_761) >>> 24);
    for (const content of [new Uint8Array(), megabyte]) {
      const key = fresh();
      expect(await objects.write(key, content, JSON_TYPE)).toBe(true);
      const read = await objects.read(key);
      expect(read === undefined ? undefined : Buffer.compare(read, content)).toBe(0);
    }
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 4096 }), async (content) => {
        const key = fresh();
        await objects.write(key, content, { contentType: 'application/octet-stream' });
        expect([...((await objects.read(key)) ?? [])]).toEqual([...content]);
      }),
      { numRuns: runs },
    );
  });

  it('takes keys with any visible character, and confuses none', async () => {
    const keys = ['a/b+c', 'a/b c', 'a/b%2Bc', 'a/b?c=d', 'a/b#c', "a/b'(c)*!", 'a//b', 'a/./b'].map((key) => `${fresh()}/${key}`);
    for (const key of keys) await objects.write(key, bytes(key), JSON_TYPE);
    for (const key of keys) expect(new TextDecoder().decode(await objects.read(key))).toBe(key);
  });

  it('has nothing where nothing was written', async () => {
    expect(await objects.read(fresh())).toBeUndefined();
  });

  it('keeps what was written last, and each writer’s own copy', async () => {
    const key = fresh();
    const content = bytes('first');
    await objects.write(key, content, JSON_TYPE);
    content.fill(0);
    expect(await objects.read(key)).toEqual(bytes('first'));
    await objects.write(key, bytes('second'), JSON_TYPE);
    expect(await objects.read(key)).toEqual(bytes('second'));
  });

  it('creates an object once, whoever comes at the same moment', async () => {
    const key = fresh();
    const names = ['0', '1', '2', '3', '4', '5', '6', '7'];
    const answers = await Promise.all(names.map((name) => objects.write(key, bytes(name), once)));
    expect(answers.filter((written) => written)).toHaveLength(1);
    expect(await objects.read(key)).toEqual(bytes(String(answers.indexOf(true))));
    expect(await objects.write(key, bytes('late'), once)).toBe(false);
    expect(await objects.write(key, bytes('anyway'), JSON_TYPE)).toBe(true);
    expect(await objects.read(key)).toEqual(bytes('anyway'));
  });

  it('deletes what is there, and what is not', async () => {
    const key = fresh();
    await objects.write(key, bytes('x'), JSON_TYPE);
    await objects.delete(key);
    await objects.delete(key);
    expect(await objects.read(key)).toBeUndefined();
    expect(await objects.write(key, bytes('again'), once)).toBe(true);
  });
}
