/**
 * Bundles each function into a folder of its own, ready to be a Lambda asset: `dist/functions/NAME`. `npm run build` makes them all; `infra`
 * and the tests use the same bundles, so that what is tested is what is deployed.
 */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

interface FunctionBundle {
  readonly entry: string;
  /** Where the bundle lies in the asset. */
  readonly file: string;
  /** What lies in the asset as it lies in the project. */
  readonly files: readonly string[];
}

/** An event function gets tokenizers and weights as a layer; a web function has no layers, so they lie where its code looks by itself. */
export const FUNCTIONS = {
  'event-function': { entry: 'functions/gateway/event-function.ts', file: 'index.mjs', files: [] },
  'web-function': {
    entry: 'functions/gateway/web-function.ts',
    file: 'functions/gateway/index.mjs',
    files: ['models/tokenizers', 'models/safety/weights'],
  },
} as const satisfies Record<string, FunctionBundle>;

export type FunctionName = keyof typeof FUNCTIONS;

const project = fileURLToPath(new URL('..', import.meta.url));
export const BUNDLES_FOLDER = join(project, 'dist/functions');

/** Packages of the AWS SDK are CommonJS in parts, and ask for `require`, which an ES module lacks. */
const CREATE_REQUIRE = "import{createRequire}from'node:module';const require=createRequire(import.meta.url);";

/**
 * Lambda gives a function its credentials in the environment and renews them there. The SDK's default chain would bring sign-on, profiles,
 * processes and metadata servers along, a seventh of the bundle.
 */
const credentialsFromEnvironment: Plugin = {
  name: 'credentials-from-environment',
  setup(build) {
    build.onResolve({ filter: /^@aws-sdk\/credential-provider-node$/ }, ({ resolveDir }) => ({
      path: 'credentials',
      namespace: 'lambda',
      pluginData: resolveDir,
    }));
    build.onLoad({ filter: /.*/, namespace: 'lambda' }, ({ pluginData }) => ({
      contents: "import { fromEnv } from '@aws-sdk/credential-provider-env'; export const defaultProvider = fromEnv;",
      resolveDir: pluginData,
    }));
  },
};

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
 * Bundles one entry, dependencies included, minified, with its source map beside it.
 * @returns the file's size in bytes.
 * @throws when an import cannot be resolved.
 */
export async function bundleEntry(entry: string, file: string): Promise<number> {
  const result = await build({
    entryPoints: [entry],
    outfile: file,
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
    plugins: [credentialsFromEnvironment],
    metafile: true,
    logLevel: 'silent',
  });
  return Object.entries(result.metafile.outputs).find(([path]) => path.endsWith('.mjs'))?.[1].bytes ?? 0;
}

if (import.meta.main) {
  for (const name of Object.keys(FUNCTIONS) as FunctionName[]) {
    process.stdout.write(`${name}: ${Math.round((await bundleFunction(name)) / 1000)} kB\n`);
  }
}
