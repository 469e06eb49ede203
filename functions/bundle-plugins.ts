/** What of a function's code is dead in Lambda, and what is read only when it is needed first. */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Plugin } from 'esbuild';
import manifest from '../package.json' with { type: 'json' };
import { createOpenApiDocument } from './gateway/openai/openapi.ts';

/**
 * Modules that Lambda has no use for, by the end of their path, and what stands in for each. Lambda gives a function its credentials and its
 * region in the environment and renews them there: no profiles in files, no metadata server. Node always has SHA-256.
 */
const STAND_INS: readonly (readonly [path: RegExp, code: string])[] = [
  // Sign-on, profiles, processes, containers, instances: all of the default chain but its first link.
  [
    /\/@aws-sdk\/credential-provider-node\/dist-(es|cjs)\/index\.js$/,
    "import { fromEnv } from '@aws-sdk/credential-provider-env'; export const defaultProvider = fromEnv;",
  ],
  [
    /\/shared-ini-file-loader\/loadSharedConfigFiles\.js$/,
    "export const loadSharedConfigFiles = async () => ({ configFile: {}, credentialsFile: {} }); export const CONFIG_PREFIX_SEPARATOR = '.';",
  ],
  [/\/regionConfig\/getInstanceMetadataRegion\.js$/, 'export const getInstanceMetadataRegion = async () => undefined;'],
  [/\/checksum\/sha256\/Sha256Js\.js$/, 'export const Sha256Js = undefined;'],
  // AWS_RETRY_MODE=adaptive, which nobody sets, tries again as `standard` does.
  [/\/util-retry\/AdaptiveRetryStrategy\.js$/, "export { StandardRetryStrategy as AdaptiveRetryStrategy } from './StandardRetryStrategy';"],
];

export const deadInLambda: Plugin = {
  name: 'dead-in-lambda',
  setup(build) {
    for (const [filter, contents] of STAND_INS) {
      build.onLoad({ filter }, ({ path }) => ({ contents, resolveDir: dirname(path) }));
    }
    // Regions have names in words, too.
    build.onLoad({ filter: /\/util-endpoints\/lib\/aws\/partitions\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replaceAll(/"description": "[^"]*"/g, ''),
    }));
    // Whoever imports a manifest wants to know a version.
    build.onLoad({ filter: /\/package\.json$/ }, async ({ path }) => {
      const { version }: { version?: string } = JSON.parse(await readFile(path, 'utf8'));
      return { contents: JSON.stringify({ version }), loader: 'json' };
    });
  },
};

/**
 * The API's description is the same at every start: it is made now, and lies beside the bundle instead of its maker.
 * @param folder of the bundle.
 */
export function describeApiNow(folder: string): Plugin {
  return {
    name: 'describe-api-now',
    setup(build) {
      build.onLoad({ filter: /\/gateway\/openai\/openapi\.ts$/ }, async () => {
        await writeFile(join(folder, 'openapi.json'), JSON.stringify(createOpenApiDocument(manifest.version)));
        return {
          contents: `import { readFileSync } from 'node:fs';
export const createOpenApiDocument = () => JSON.parse(readFileSync(new URL('openapi.json', import.meta.url), 'utf8'));`,
        };
      });
    },
  };
}

/** Packages that many processes never call, by the path they are imported from, and what of them is called. */
const CALLED_SELDOM: Readonly<Record<string, readonly string[]>> = {
  // Half of it are the numbering plans of all countries: read at the first text that could hold a phone number.
  'libphonenumber-js/max': ['isSupportedCountry', 'parsePhoneNumberFromString'],
};

/** A package, or what is called of it, in a file of its own beside the bundle. */
export interface OwnFile {
  /** The module that is bundled into it. */
  readonly contents: string;
  readonly file: string;
  readonly format: 'esm' | 'cjs';
}

/**
 * Packages that a cold start need not read: those that our code imports on demand, and those of `CALLED_SELDOM`, which are read at the first
 * call.
 * @param found gets those that the bundle asks for.
 */
export function onDemand(found: Map<string, OwnFile>): Plugin {
  return {
    name: 'on-demand',
    setup(build) {
      build.onResolve({ filter: /^[a-z][\w/-]*$/ }, ({ path, kind, importer, resolveDir }) => {
        if (importer.includes('/node_modules/')) return undefined;
        const file = path.replace(/\/.*$/, '');
        if (kind === 'dynamic-import') {
          found.set(path, { contents: `export * from '${path}';`, file: `${file}.mjs`, format: 'esm' });
          return { path: `./${file}.mjs`, external: true };
        }
        const names = CALLED_SELDOM[path];
        if (names === undefined) return undefined;
        found.set(path, { contents: `export { ${names.join(', ')} } from '${path}';`, file: `${file}.cjs`, format: 'cjs' });
        return { path, namespace: 'called-seldom', pluginData: { contents: readAtFirstCall(`./${file}.cjs`, names), resolveDir } };
      });
      build.onLoad({ filter: /.*/, namespace: 'called-seldom' }, ({ pluginData }) => pluginData);
    },
  };
}

/** A module that looks like the package. A call must be answered at once, so the file is read as CommonJS is. */
function readAtFirstCall(file: string, names: readonly string[]): string {
  return `import { createRequire } from 'node:module';
const read = createRequire(import.meta.url);
${names.map((name) => `export const ${name} = (...given) => read('${file}').${name}(...given);`).join('\n')}`;
}
