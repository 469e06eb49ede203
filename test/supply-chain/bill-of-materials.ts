/**
 * The bill of materials of what is shipped, in CycloneDX, from the lock file alone: `node test/supply-chain/bill-of-materials.ts > sbom.json`.
 * npm makes one of everything, out of which packages that are for development only are taken: `npm sbom --omit dev` (npm 11) also leaves out what
 * is for both, such as `@aws-sdk/core`.
 */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as v from 'valibot';

const propertySchema = v.object({ name: v.string(), value: v.string() });
const componentSchema = v.looseObject({
  'bom-ref': v.string(),
  /** With its scope. */
  name: v.string(),
  version: v.string(),
  hashes: v.optional(v.array(v.object({ alg: v.string(), content: v.string() }))),
  licenses: v.optional(v.array(v.unknown())),
  properties: v.optional(v.array(propertySchema), []),
});
const billSchema = v.looseObject({
  bomFormat: v.literal('CycloneDX'),
  components: v.array(componentSchema),
  dependencies: v.array(v.object({ ref: v.string(), dependsOn: v.optional(v.array(v.string()), []) })),
});

export type Component = v.InferOutput<typeof componentSchema>;
export type BillOfMaterials = v.InferOutput<typeof billSchema>;

/** Whether npm says so: https://github.com/CycloneDX/cyclonedx-property-taxonomy/blob/main/cdx/npm.md */
export function is(what: 'development' | 'bundled', { properties }: Component): boolean {
  return properties.some(({ name, value }) => name === `cdx:npm:package:${what}` && value === 'true');
}

/** @throws npm failed, or made no such bill. It needs no network and no installed packages. */
export async function makeBillOfMaterials(): Promise<BillOfMaterials> {
  const { stdout } = await promisify(execFile)('npm', ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    maxBuffer: 64 * 2 ** 20,
  });
  const all = v.parse(v.pipe(v.string(), v.parseJson(), billSchema), stdout);
  const left = new Set(all.components.filter((component) => is('development', component)).map((component) => component['bom-ref']));
  const stays = (ref: string) => !left.has(ref);
  return {
    ...all,
    components: all.components.filter((component) => stays(component['bom-ref'])),
    dependencies: all.dependencies
      .filter(({ ref }) => stays(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter(stays) })),
  };
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(await makeBillOfMaterials(), null, 2)}\n`);
