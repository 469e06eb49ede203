/**
 * Bundles each function into a folder of its own, ready to be a Lambda asset: `dist/functions/NAME/index.mjs`. `npm run build` makes them
 * all; `infra` and the tests call `bundleFunction`, so that what is tested is what is deployed.
 */
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

/** Each function's name and entry. */
export const FUNCTIONS = { 'event-function': 'gateway/event-function.ts' } as const;

export type FunctionName = keyof typeof FUNCTIONS;

const here = fileURLToPath(new URL('.', import.meta.url));
export const BUNDLES_FOLDER = join(here, '../dist/functions');

/** Packages of the AWS SDK are CommonJS in parts, and ask for `require`, which an ES module lacks. */
const CREATE_REQUIRE = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);";

/**
 * Bundles one entry (a path from `functions/`), dependencies included, minified, with its source map beside it.
 * @returns the file's size in bytes.
 * @throws when an import cannot be resolved.
 */
export async function bundleFunction(entry: string, folder: string): Promise<number> {
  await rm(folder, { recursive: true, force: true });
  const result = await build({
    entryPoints: [resolve(here, entry)],
    outfile: join(folder, 'index.mjs'),
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    mainFields: ['module', 'main'], // the CommonJS build of the SDK is a third larger
    minify: true,
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    banner: { js: CREATE_REQUIRE },
    metafile: true,
    logLevel: 'silent',
  });
  return Object.entries(result.metafile.outputs).find(([path]) => path.endsWith('.mjs'))?.[1].bytes ?? 0;
}

if (import.meta.main) {
  for (const [name, entry] of Object.entries(FUNCTIONS)) {
    const bytes = await bundleFunction(entry, join(BUNDLES_FOLDER, name));
    process.stdout.write(`${name}: ${Math.round(bytes / 1000)} kB\n`);
  }
}
