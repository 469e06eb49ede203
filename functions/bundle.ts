/**
 * Bundles each function into a folder of its own, ready to be a Lambda asset: `dist/functions/NAME`. `npm run build` makes them all; `infra`
 * and the tests use the same bundles, so that what is tested is what is deployed.
 */
import { cp, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild';
import { ENCODING_NAMES, loadEncoding } from '../models/tokenizers/encodings.ts';
import { deadInLambda, describeApiNow, needsDatesAndStreams, type OwnFile, onDemand, withoutDatesAndStreams } from './bundle-plugins.ts';

interface FunctionBundle {
  readonly entry: string;
  /** Where the bundle lies in the asset. */
  readonly file: string;
  /** What lies in the asset as it lies in the project. */
  readonly files: readonly string[];
}

/** An event function gets tokenizers, encodings and weights as layers; a web function has no layers, so they lie where its code looks by itself. */
export const FUNCTIONS = {
  'event-function': { entry: 'functions/gateway/event-function.ts', file: 'index.mjs', files: [] },
  'web-function': {
    entry: 'functions/gateway/web-function.ts',
    file: 'functions/gateway/index.mjs',
    files: ['models/tokenizers', 'models/safety/weights'],
  },
  'jobs-function': { entry: 'functions/jobs/event-function.ts', file: 'index.mjs', files: [] },
  'canary-function': { entry: 'functions/canary/event-function.ts', file: 'index.mjs', files: [] },
} as const satisfies Record<string, FunctionBundle>;

export type FunctionName = keyof typeof FUNCTIONS;

const project = fileURLToPath(new URL('..', import.meta.url));
export const BUNDLES_FOLDER = join(project, 'dist/functions');

/** Packages of the AWS SDK are CommonJS in parts, and ask for `require`, which an ES module lacks. */
const CREATE_REQUIRE = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);";

/**
 * Makes one function's asset.
 * @returns the size of its bundle in bytes.
 */
export async function bundleFunction(name: FunctionName, folder = join(BUNDLES_FOLDER, name)): Promise<number> {
  const { entry, file, files } = FUNCTIONS[name];
  await rm(folder, { recursive: true, force: true });
  for (const path of files) await cp(join(project, path), join(folder, path), { recursive: true });
  return bundleEntry(join(project, entry), join(folder, file));
}

/**
 * Bundles one entry, dependencies included, into one minified file with its source map beside it; and each package that it imports on
 * demand into a file of its own.
 * @returns the size in bytes of what a cold start reads.
 * @throws when an import cannot be resolved.
 */
export async function bundleEntry(entry: string, file: string): Promise<number> {
  const folder = dirname(file);
  await mkdir(folder, { recursive: true });
  const apart = new Map<string, OwnFile>();
  const plugins = [deadInLambda, describeApiNow(folder), onDemand(apart)];
  const input = { entryPoints: [entry] };
  let metafile = await bundleFile(input, file, 'esm', [...plugins, withoutDatesAndStreams]);
  if (needsDatesAndStreams(metafile)) metafile = await bundleFile(input, file, 'esm', plugins);
  for (const own of apart.values()) {
    await bundleFile({ stdin: { contents: own.contents, resolveDir: project } }, join(folder, own.file), own.format, [deadInLambda]);
  }
  return Object.entries(metafile.outputs).find(([path]) => path.endsWith('.mjs'))?.[1].bytes ?? 0;
}

async function bundleFile(
  input: Pick<BuildOptions, 'entryPoints' | 'stdin'>,
  file: string,
  format: 'esm' | 'cjs',
  plugins: Plugin[],
): Promise<Metafile> {
  const { metafile } = await build({
    ...input,
    outfile: file,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format,
    mainFields: ['module', 'main'], // the CommonJS build of the SDK is a third larger
    minify: true,
    charset: 'utf8',
    sourcemap: 'linked',
    sourcesContent: false,
    legalComments: 'none',
    ...(format === 'esm' ? { banner: { js: CREATE_REQUIRE } } : {}),
    plugins,
    metafile: true,
    logLevel: 'silent',
  });
  return metafile;
}

/** The encodings of GPT models, for counting tokens of theirs. Compiled once (some seconds), then only looked at. */
async function compileEncodings(): Promise<void> {
  const encodings = join(BUNDLES_FOLDER, 'encodings-layer/encodings');
  for (const name of ENCODING_NAMES) await loadEncoding(name, encodings);
  await cp(encodings, join(BUNDLES_FOLDER, 'web-function/dist/tokenizers'), { recursive: true });
}

if (import.meta.main) {
  for (const name of Object.keys(FUNCTIONS) as FunctionName[]) {
    process.stdout.write(`${name}: ${Math.round((await bundleFunction(name)) / 1000)} kB\n`);
  }
  await compileEncodings();
}
