import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { identifyBundle } from '../../infra/constructs/identify-bundle.ts';

describe('what a bundle is known by', () => {
  const identify = async (code: string, cacheName: string, cache: string) => {
    await using folder = await mkdtempDisposable(join(tmpdir(), 'bundle-'));
    const inner = join(folder.path, 'functions');
    await mkdir(inner);
    await writeFile(join(inner, 'bundle.js'), code);
    await writeFile(join(inner, cacheName), cache);
    return identifyBundle(folder.path).assetHash;
  };

  it('is its code, and for which processor and V8 it was compiled, but not what V8 made of it', async () => {
    const known = await identify('1', 'bundle.js.arm64-13.6.cache', 'a');
    expect(await identify('1', 'bundle.js.arm64-13.6.cache', 'b')).toBe(known);
    expect(await identify('2', 'bundle.js.arm64-13.6.cache', 'a')).not.toBe(known);
    expect(await identify('1', 'bundle.js.arm64-13.7.cache', 'a')).not.toBe(known);
  });
});
