import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleFunction, FUNCTIONS, type FunctionName } from '../../functions/bundle.ts';
import manifest from '../../package.json' with { type: 'json' };
import { type BillOfMaterials, is, makeBillOfMaterials } from './bill-of-materials.ts';

let folder: string;
let bill: BillOfMaterials;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-bill-'));
  bill = await makeBillOfMaterials();
}, 120_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The packages whose code is in a function's asset, by the source maps beside its files. */
async function packagesIn(asset: string): Promise<string[]> {
  const maps = (await readdir(asset, { recursive: true })).filter((path) => path.endsWith('.map'));
  const sources = await Promise.all(
    maps.map(async (path): Promise<string[]> => JSON.parse(await readFile(join(asset, path), 'utf8')).sources),
  );
  const names = sources.flat().flatMap((source) => /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source)?.[1] ?? []);
  return [...new Set(names)].sort();
}

describe('the bill of materials', () => {
  it.each(Object.keys(FUNCTIONS) as FunctionName[])(
    'has every package whose code is in the %s',
    async (name) => {
      const asset = join(folder, name);
      await bundleFunction(name, asset);
      const packages = await packagesIn(asset);
      expect(packages).toContain('valibot'); // by which all of them check what they receive
      const listed = new Set(bill.components.map((component) => component.name));
      expect(packages.filter((each) => !listed.has(each))).toEqual([]);
    },
    120_000,
  );

  it('has every package that the project depends on, and none that is for development only', () => {
    const listed = new Set(bill.components.map(({ name }) => name));
    expect(Object.keys(manifest.dependencies).filter((name) => !listed.has(name))).toEqual([]);
    for (const name of ['vitest', '@biomejs/biome', 'knip']) expect(listed).not.toContain(name);
  });

  it('names a version, a digest and a licence of each', () => {
    for (const component of bill.components) {
      expect(component.version, component.name).toMatch(/^\d+\.\d+\.\d+/);
      expect(component.licenses?.length, component.name).toBeGreaterThan(0);
      // What is bundled in another package is in that one's digest.
      if (!is('bundled', component)) expect(component.hashes?.[0]?.alg, component.name).toBe('SHA-512');
    }
  });

  it('names in its dependencies only what it lists', () => {
    const refs = new Set(bill.components.map((component) => component['bom-ref']));
    for (const { dependsOn } of bill.dependencies) expect(dependsOn.filter((ref) => !refs.has(ref))).toEqual([]);
  });
});

describe('the lock file', () => {
  it('has the digest of every package, and no address: it would go round the registry of whoever installs', async () => {
    const lock: { packages: Record<string, { integrity?: string; inBundle?: boolean; resolved?: string }> } = JSON.parse(
      await readFile(new URL('../../package-lock.json', import.meta.url), 'utf8'),
    );
    const { '': _, ...packages } = lock.packages;
    for (const [path, { integrity, inBundle = false, resolved }] of Object.entries(packages)) {
      if (!inBundle) expect(integrity, path).toMatch(/^sha512-/);
      expect(resolved, path).toBeUndefined(); // whoever installs says which registry
    }
  });
});
