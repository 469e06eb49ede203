/**
 * Runs when a function is bundled, on the Node that it is bundled for, with the URL of its `index.mjs`. Starts the function as Lambda does, without a
 * request, and writes what V8 has compiled for that beside the bundle.
 */
import { codeCacheFile, compileBundle } from './load-bundle.ts';

const url = process.argv.at(-1) ?? '';
Object.assign(globalThis, { awslambda: { streamifyResponse: (handler: unknown) => handler } });

const bundle = compileBundle(url);
await bundle.start();
process.getBuiltinModule('node:fs').writeFileSync(new URL(codeCacheFile(), url), bundle.createCodeCache());
process.exit(0); // a web function listens
