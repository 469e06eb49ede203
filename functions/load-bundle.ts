/**
 * What Lambda imports of a function is `index.mjs`: these few lines. Beside it lie the bundle itself and the code that V8 made of it when it was
 * bundled. Modules of Node are asked for one by one: importing `node:fs` would load all that it only offers.
 */
import { createRequire } from 'node:module';

/** An expression in ASCII: a function of `require` and a URL, of a promise of the bundle's exports. */
export const BUNDLE_FILE = 'bundle.js';

type Exports = Readonly<Record<string, unknown>>;

export interface CompiledBundle {
  /** Evaluates the bundle. */
  start(): Promise<Exports>;
  /** What V8 has compiled up to now, for a later start. */
  createCodeCache(): Uint8Array;
}

/**
 * V8 takes code only from a V8 of its own version, build and flags, and checks that by itself. It tells a source by its length: whoever writes
 * another bundle into a folder takes the old code away.
 */
export function codeCacheFile(): string {
  return `${BUNDLE_FILE}.${process.arch}-${process.versions.v8}.cache`;
}

/** @param url of the `index.mjs` that the bundle lies beside. */
export async function loadBundle(url: string): Promise<Exports> {
  return compileBundle(url).start();
}

/** @param url of the `index.mjs` that the bundle lies beside. */
export function compileBundle(url: string): CompiledBundle {
  const { readFileSync } = process.getBuiltinModule('node:fs');
  const { Script } = process.getBuiltinModule('node:vm');
  const filename = process.getBuiltinModule('node:url').fileURLToPath(new URL(BUNDLE_FILE, url));
  const cachedData = readCodeCache(new URL('.', url));
  const script = new Script(readFileSync(filename, 'latin1'), { filename, ...(cachedData === undefined ? {} : { cachedData }) });
  if (script.cachedDataRejected === true) warn('code-cache-rejected', { file: codeCacheFile() });
  return {
    start: () => script.runInThisContext()(createRequire(url), url),
    createCodeCache: () => script.createCachedData(),
  };
}

function readCodeCache(folder: URL): Uint8Array | undefined {
  const { readdirSync, readFileSync } = process.getBuiltinModule('node:fs');
  try {
    return readFileSync(new URL(codeCacheFile(), folder));
  } catch {
    const others = readdirSync(folder).filter((name) => name.endsWith('.cache'));
    if (others.length > 0) warn('code-cache-missing', { file: codeCacheFile(), instead: others.join(' ') });
    return undefined;
  }
}

/** Lambda has renewed its runtime: the function works as before, but starts as slowly as without a cache until it is bundled for the new one. */
function warn(event: string, fields: object): void {
  const line = JSON.stringify({ time: new Date().toISOString(), level: 'warn', event, ...fields });
  process.getBuiltinModule('node:fs').writeSync(1, `${line}\n`); // `process.stdout` takes milliseconds to come into being
}
