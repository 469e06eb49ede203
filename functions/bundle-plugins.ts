/** What of a function's code is dead in Lambda, and what is read only when it is needed first. */
import { readFile, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import type { Metafile, Plugin } from 'esbuild';
import { getCountries } from 'libphonenumber-js/max';
import manifest from '../package.json' with { type: 'json' };
import { createOpenApiDocument } from './gateway/openai/openapi.ts';
import { renderDocsPage } from './gateway/openai/openapi-page.ts';

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
  // What our app never calls of Hono and of its server: apps of other frameworks under its own, forms, WebSockets.
  [/\/hono\/dist\/utils\/mount\.js$/, 'export let createMountedRequest;'],
  [/\/hono\/dist\/utils\/body\.js$/, 'export let parseBody;'],
  [/\/hono\/dist\/helper\/websocket\/index\.js$/, 'export const defineWebSocketHelper = () => undefined;'],
  // Hono's other router makes one expression of all paths at the first request: no process here has so many requests that it pays.
  [
    /\/hono\/dist\/hono\.js$/,
    `import { HonoBase } from './hono-base.js';
import { TrieRouter } from './router/trie-router/router.js';
export class Hono extends HonoBase {
  constructor(options = {}) {
    super(options);
    this.router = options.router ?? new TrieRouter();
  }
}`,
  ],
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
 * What SageMaker's runtime never makes its client call: its answers hold no dates, and no bytes that stream but as events; and our drivers sign by
 * themselves.
 */
const ONLY_OF_OTHER_CLIENTS =
  /\/submodules\/serde\/(date-utils|schema-serde-lib\/schema-date-utils|util-stream\/sdk-stream-mixin)\.js$|\/@smithy\/signature-v4\/dist-es\/SignatureV4\.js$/;

/** Middleware, which `functions/drivers/sagemaker-runtime-client.ts` does not call, by what stays of the modules. */
const TAKEN_OUT: readonly (readonly [path: RegExp, exports: string])[] = [
  [/\/middleware-retry\/retryMiddleware\.js$/, 'bindGetRetryPlugin = () => none, bindRetryMiddleware = () => none, retryMiddlewareOptions'],
  [/\/middleware-user-agent\/user-agent-middleware\.js$/, 'getUserAgentPlugin = none, userAgentMiddleware, getUserAgentMiddlewareOptions'],
  [
    /\/util-user-agent-node\/defaultUserAgent\.js$/,
    'createDefaultUserAgentProvider = () => async () => [], defaultUserAgent, crtAvailability',
  ],
  [/\/middleware-logger\/loggerMiddleware\.js$/, 'getLoggerPlugin = none, loggerMiddleware, loggerMiddlewareOptions'],
  [/\/middleware-recursion-detection\/recursionDetectionMiddleware\.js$/, 'recursionDetectionMiddleware = none'],
  [/\/middleware-http-auth-scheme\/httpAuthSchemeMiddleware\.js$/, 'httpAuthSchemeMiddleware = none'],
  [/\/middleware-http-signing\/httpSigningMiddleware\.js$/, 'httpSigningMiddleware = none'],
  [/\/middleware-endpoint\/endpointMiddleware\.js$/, 'bindEndpointMiddleware = () => none'],
  [/\/middleware\/schemaSerializationMiddleware\.js$/, 'schemaSerializationMiddleware = none'],
  [/\/middleware\/schemaDeserializationMiddleware\.js$/, 'schemaDeserializationMiddleware = none'],
  [
    /\/middleware-stack\/MiddlewareStack\.js$/,
    'constructStack = () => ({ add() {}, addRelativeTo() {}, use(plugin) { plugin.applyToStack(this); } })',
  ],
];

/** For bundles that have no other client of the SDK: `hasOtherClients` tells. */
export const withoutOtherClients: Plugin = {
  name: 'without-other-clients',
  setup(build) {
    build.onLoad({ filter: ONLY_OF_OTHER_CLIENTS }, async ({ path }) => {
      const names = [...(await readFile(path, 'utf8')).matchAll(/^export (?:const|function|class) (\w+)/gm)].map(([, name]) => name);
      const never = "function never() { throw new Error('This bundle holds no code for signatures, dates and streams of the SDK.'); }";
      return { contents: `${never}\n${names.map((name) => `export { never as ${name} };`).join('\n')}` };
    });
    for (const [filter, exports] of TAKEN_OUT) {
      build.onLoad({ filter }, () => ({ contents: `const none = () => ({ applyToStack() {} });\nexport let ${exports};` }));
    }
  },
};

export function hasOtherClients({ inputs }: Metafile): boolean {
  return Object.keys(inputs).some((path) => /\/@aws-sdk\/client-(?!sagemaker-runtime\/)/.test(path));
}

/**
 * The API's description is the same at every start: it is made now, as JSON and as a page, and lies beside the bundle instead of its makers.
 * @param folder of the bundle.
 */
export function describeApiNow(folder: string): Plugin {
  return {
    name: 'describe-api-now',
    setup(build) {
      const document = JSON.stringify(createOpenApiDocument(manifest.version));
      build.onLoad({ filter: /\/gateway\/openai\/openapi\.ts$/ }, async () => {
        await writeFile(join(folder, 'openapi.json'), document);
        return {
          contents: `import { readFileSync } from 'node:fs';
export const createOpenApiDocument = () => JSON.parse(readFileSync(new URL('openapi.json', import.meta.url), 'utf8'));`,
        };
      });
      build.onLoad({ filter: /\/gateway\/openai\/openapi-page\.ts$/ }, async () => {
        await writeFile(join(folder, 'docs.html'), renderDocsPage(JSON.parse(document)));
        return {
          contents: `import { readFileSync } from 'node:fs';
export const renderDocsPage = () => readFileSync(new URL('docs.html', import.meta.url), 'utf8');`,
        };
      });
    },
  };
}

/** A package, or what is called of it, in a file of its own beside the bundle. */
export interface OwnFile {
  /** The module that is bundled into it. */
  readonly contents: string;
  readonly file: string;
}

const PHONE_NUMBERS = 'libphonenumber-js/max';
/** Most of libphonenumber are the numbering plans of all countries: they are read at the first text that could hold a phone number. */
const PHONE_NUMBERS_AT_FIRST_CALL = `const countries = new Set('${getCountries().join(' ')}'.split(' '));
export const isSupportedCountry = (country) => countries.has(country);
export const parsePhoneNumberFromString = (...given) => require('./libphonenumber-js.cjs').parsePhoneNumberFromString(...given);`;

/**
 * Packages that a cold start need not read get files of their own: those that our code imports on demand, and libphonenumber.
 * @param found gets those that the bundle asks for.
 */
export function onDemand(found: Map<string, OwnFile>): Plugin {
  return {
    name: 'on-demand',
    setup(build) {
      build.onResolve({ filter: /^[a-z][\w-]*$/ }, ({ path, kind, importer }) => {
        if (kind !== 'dynamic-import' || importer.includes('/node_modules/')) return undefined;
        found.set(path, { contents: `export * from '${path}';`, file: `${path}.cjs` });
        return { path, namespace: 'on-demand' };
      });
      build.onResolve({ filter: /^libphonenumber-js\/max$/ }, () => {
        found.set(PHONE_NUMBERS, {
          contents: `export { parsePhoneNumberFromString } from '${PHONE_NUMBERS}';`,
          file: 'libphonenumber-js.cjs',
        });
        return { path: PHONE_NUMBERS, namespace: 'on-demand' };
      });
      build.onResolve({ filter: /^\.\/[\w-]+\.cjs$/, namespace: 'on-demand' }, ({ path }) => ({ path, external: true }));
      build.onLoad({ filter: /.*/, namespace: 'on-demand' }, ({ path }) => ({
        contents: path === PHONE_NUMBERS ? PHONE_NUMBERS_AT_FIRST_CALL : `module.exports = require('./${path}.cjs');`,
      }));
    },
  };
}

/**
 * Modules of Node by `require`'s way. An import makes all that a module offers, also what it makes at first use only: `node:http` loads fetch,
 * WebSocket and HTTP/2 for that, which takes longer than all of this bundle.
 */
export const builtinsOneByOne: Plugin = {
  name: 'builtins-one-by-one',
  setup(build) {
    build.onResolve({ filter: /^[\w:/]+$/ }, ({ path }) =>
      isBuiltin(path) ? { path: path.replace('node:', ''), namespace: 'builtin' } : undefined,
    );
    build.onLoad({ filter: /.*/, namespace: 'builtin' }, ({ path }) => ({
      contents: `module.exports = process.getBuiltinModule('node:${path}');`,
    }));
  },
};
