/**
 * Bundles each function into a folder of its own, ready to be a Lambda asset: `dist/functions/NAME`. `npm run build` makes them all; `infra`
 * and the tests use the same bundles, so that what is tested is what is deployed.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { type BuildOptions, type BuildResult, build, type Plugin } from 'esbuild';
import { catalog } from '../models/catalog.ts';
import { ENCODING_NAMES, loadEncoding } from '../models/tokenizers/encodings.ts';
import {
  builtinsOneByOne,
  deadInLambda,
  describeApiNow,
  hasOtherClients,
  type OwnFile,
  onDemand,
  withoutOtherClients,
} from './bundle-plugins.ts';
import { standInForAws } from './first-answer.ts';
import { BUNDLE_FILE } from './load-bundle.ts';

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

const MINIFIED = {
  bundle: true,
  platform: 'node',
  target: 'node24',
  mainFields: ['module', 'main'], // the CommonJS build of the SDK is a third larger
  minify: true,
  charset: 'ascii', // V8 keeps it in one byte for each sign
  legalComments: 'none',
  logLevel: 'silent',
} as const satisfies BuildOptions;
const WITH_MAP = { sourcemap: 'linked', sourcesContent: false } as const satisfies BuildOptions;

/**
 * Makes one function's asset.
 * @param node the command of the Node that the function will run on, which makes its code cache; `null` where there is none at hand.
 * @returns the size of its bundle in bytes.
 */
export async function bundleFunction(
  name: FunctionName,
  folder = join(BUNDLES_FOLDER, name),
  node: readonly string[] | null = [process.execPath],
): Promise<number> {
  const { entry, file, files } = FUNCTIONS[name];
  await rm(folder, { recursive: true, force: true });
  for (const path of files) await cp(join(project, path), join(folder, path), { recursive: true });
  const bytes = await bundleEntry(join(project, entry), join(folder, file));
  if (node !== null) await writeCodeCache(node, join(folder, file));
  return bytes;
}

/**
 * Bundles one entry, dependencies included, into one minified script with its source map, to be loaded by `file`; and each package that it
 * imports on demand into a file of its own beside them.
 * @param file an ES module with the entry's exports.
 * @returns the size in bytes of what a cold start reads.
 * @throws when an import cannot be resolved.
 */
export async function bundleEntry(entry: string, file: string): Promise<number> {
  const folder = dirname(file);
  await mkdir(folder, { recursive: true });
  const apart = new Map<string, OwnFile>();
  const plugins = [builtinsOneByOne, deadInLambda, describeApiNow(folder), onDemand(apart)];
  const script = join(folder, BUNDLE_FILE);
  const { metafile } = await bundleScript(entry, script, [...plugins, withoutOtherClients]);
  if (hasOtherClients(metafile)) await bundleScript(entry, script, plugins);
  for (const { contents, file: name } of apart.values()) {
    const stdin = { contents, resolveDir: project };
    await build({ ...MINIFIED, ...WITH_MAP, stdin, outfile: join(folder, name), format: 'cjs', plugins: [deadInLambda] });
  }
  const names = Object.values(metafile.outputs).flatMap(({ exports }) => exports);
  const load = 'await loadBundle(import.meta.url);';
  const contents = `import { loadBundle } from './load-bundle.ts';
${names.length === 0 ? load : `export const { ${names.join(', ')} } = ${load}`}`;
  const loader = await bundleText({ stdin: { contents, resolveDir: join(project, 'functions') } });
  await writeFile(file, loader);
  return (await stat(script)).size + loader.length;
}

/** Our modules wait for promises while they are loaded, which no script can do: what esbuild writes as a module is made a function here. */
async function bundleScript(entry: string, file: string, plugins: Plugin[]): Promise<BuildResult<{ metafile: true }>> {
  const result = await build({
    ...MINIFIED,
    ...WITH_MAP,
    entryPoints: [entry],
    outfile: file,
    write: false,
    format: 'esm',
    banner: { js: '(async function(require,__url){"use strict";' },
    footer: { js: '})' },
    define: { 'import.meta.url': '__url' },
    plugins,
    metafile: true,
  });
  for (const output of result.outputFiles) await writeFile(output.path, output.path === file ? returnExports(output.text) : output.text);
  return result;
}

/** `export{a as b,c};` at the end of a module, as `return{b:a,c}`. */
function returnExports(module: string): string {
  return module.replace(/export\{([\w$ ,]*)\};?(?=\s*\}\)\s*(?:\/\/# .*\s*)?$)/, (_, names: string) => {
    return `return{${names.replaceAll(/([\w$]+) as ([\w$]+)/g, '$2:$1')}}`;
  });
}

async function bundleText(input: Pick<BuildOptions, 'entryPoints' | 'stdin'>): Promise<string> {
  const { outputFiles } = await build({ ...MINIFIED, ...input, write: false, format: 'esm' });
  return outputFiles.map((output) => output.text).join('');
}

/** Enough for every function to start, and for the gateway to answer a request with the key `none`. */
const ANY_ENVIRONMENT = {
  AWS_REGION: 'us-east-1',
  AWS_ACCESS_KEY_ID: 'none',
  AWS_SECRET_ACCESS_KEY: 'none',
  AWS_LAMBDA_HTTP_ENDPOINT: '127.0.0.1:0',
  PENSTOCK_API_KEY_HASHES: createHash('sha256').update('none').digest('hex'),
  PENSTOCK_TABLE: 'none',
  PENSTOCK_TOKENIZERS: join(project, 'models/tokenizers'),
  PENSTOCK_SAFETY_WEIGHTS: join(project, 'models/safety/weights/linear-heads.bin'),
  CANARY_BASE_URL: 'http://127.0.0.1:9/v1',
  CANARY_MODELS: '["none"]',
  CANARY_API_KEY_ARN: 'none',
  CANARY_NAMESPACE: 'none',
};

/**
 * Starts a bundled function once, on the Node that it will run on, and keeps what V8 compiled for that and for a first request.
 * @throws when it does not start or not answer.
 */
async function writeCodeCache([command = '', ...before]: readonly string[], file: string): Promise<void> {
  const code = await bundleText({ entryPoints: [join(project, 'functions/write-code-cache.ts')] });
  await using aws = await standInForAws();
  const child = spawn(command, [...before, '--input-type=module', '-', catalog[0]?.id ?? '', pathToFileURL(file).href], {
    env: { ...ANY_ENVIRONMENT, AWS_ENDPOINT_URL: aws.url },
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  child.stdin.end(code);
  const [errors] = await Promise.all([text(child.stderr), once(child, 'close')]);
  if (child.exitCode === 0) return;
  const readable = errors.replaceAll(/^.{300,}$/gm, (line) => `${line.slice(0, 300)}…`); // Node shows the line that threw, and a bundle has few
  throw new Error(`${file} does not start and answer:\n${readable}`);
}

/** The encodings of GPT models, for counting tokens of theirs. Compiled once (some seconds), then only looked at. */
async function compileEncodings(): Promise<void> {
  const encodings = join(BUNDLES_FOLDER, 'encodings-layer/encodings');
  for (const name of ENCODING_NAMES) await loadEncoding(name, encodings);
  await cp(encodings, join(BUNDLES_FOLDER, 'web-function/dist/tokenizers'), { recursive: true });
}

/** The processor of our functions in Lambda. */
const ARCHITECTURE = 'arm64';

if (import.meta.main) {
  const { node } = parseArgs({ options: { node: { type: 'string' } } }).values;
  const command = node?.split(' ') ?? (process.arch === ARCHITECTURE ? [process.execPath] : null);
  for (const name of Object.keys(FUNCTIONS) as FunctionName[]) {
    const folder = join(BUNDLES_FOLDER, name);
    process.stdout.write(`${name}: ${Math.round((await bundleFunction(name, folder, command)) / 1000)} kB\n`);
  }
  if (command === null) {
    process.stdout.write(
      `No code cache: functions run on ${ARCHITECTURE}, and this is ${process.arch}. docs/decisions/lean-bundles.md tells how to make one.\n`,
    );
  }
  await compileEncodings();
}
