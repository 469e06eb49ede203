import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { SentenceError } from '../sentence-error.ts';

export interface ContainerSettings {
  readonly modelFolder: string;
  readonly host: string;
  readonly port: number;
  /** Sequences that run at once. */
  readonly slots: number;
  /** Requests that wait at most. */
  readonly maxQueue: number;
  /** Prompt and answer together, in tokens; `undefined` takes the model's own. */
  readonly contextLength: number | undefined;
  /** Positions that the caches of all sequences hold; `undefined` takes four full contexts. */
  readonly kvTokens: number | undefined;
  /** Memory for prefixes of answered requests. */
  readonly prefixCacheMb: number;
  readonly prefillChunk: number;
  /** Tokens that are guessed at most beside the next one of an answer that runs alone. */
  readonly draftTokens: number;
  readonly threads: number;
  /** How long running answers may go on after SIGTERM. */
  readonly drainSeconds: number;
  /** Adapters may be loaded from its subfolders; `undefined` takes none. */
  readonly adaptersFolder: string | undefined;
  /** Holds an embedding model, for bodies with `input`. */
  readonly embeddingsFolder: string | undefined;
  readonly profile: boolean;
  /** What the process was started with. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export const HELP = `Serves a converted model as a SageMaker container: GET /ping, POST /invocations, GET /metrics.

node models/local/container/main.ts --model FOLDER [options]

  --model FOLDER       a converted model (npm start makes one)
  --host ADDRESS       default 127.0.0.1
  --port NUMBER        default 8080
  --slots NUMBER       answers that run at once, default 8
  --max-queue NUMBER   requests that wait at most, default 64
  --context TOKENS     prompt and answer together, default the model's own
  --kv-tokens TOKENS   positions that the caches hold in all, default four contexts
  --prefix-cache-mb N  memory for prompts that begin like answered ones, default 24, 0 keeps none
  --prefill-chunk N    prompt tokens between two tokens of running answers, 1 to 64, default 64
  --draft-tokens N     tokens guessed from what was said before, for an answer that runs alone, 0 to 63, default 7
  --threads NUMBER     threads that compute one step, default half of the cores, at least 1
  --drain-seconds N    how long running answers may go on after SIGTERM, default 30
  --adapters FOLDER    LoRA adapters (PEFT) may be loaded from its subfolders at run time
  --embeddings FOLDER  an embedding model (model.onnx, tokenizer.json) for bodies with "input"
  --profile            say every 5 s where the time of a step goes
  --help               this text
`;

/** @throws {SentenceError} an unknown option or a bad value. */
export function readSettings(
  argv: readonly string[],
  environment: ContainerSettings['environment'] = process.env,
): ContainerSettings | 'help' {
  const values = parse(argv);
  if (values.help === true) return 'help';
  if (values.model === undefined) throw new SentenceError('Name a model folder: --model FOLDER. --help lists the options.');
  return {
    modelFolder: values.model,
    host: values.host ?? '127.0.0.1',
    port: wholeNumber('port', values.port, 8080, 0, 65_535),
    slots: wholeNumber('slots', values.slots, 8, 1, 256),
    maxQueue: wholeNumber('max-queue', values['max-queue'], 64, 0, 100_000),
    contextLength: values.context === undefined ? undefined : wholeNumber('context', values.context, 0, 2, 1 << 20),
    kvTokens: values['kv-tokens'] === undefined ? undefined : wholeNumber('kv-tokens', values['kv-tokens'], 0, 64, 1 << 28),
    prefixCacheMb: wholeNumber('prefix-cache-mb', values['prefix-cache-mb'], 24, 0, 1 << 20),
    prefillChunk: wholeNumber('prefill-chunk', values['prefill-chunk'], 64, 1, 64),
    draftTokens: wholeNumber('draft-tokens', values['draft-tokens'], 7, 0, 63),
    threads: wholeNumber('threads', values.threads, Math.max(1, Math.floor(availableParallelism() / 2)), 1, 256),
    drainSeconds: wholeNumber('drain-seconds', values['drain-seconds'], 30, 0, 3600),
    adaptersFolder: values.adapters,
    embeddingsFolder: values.embeddings,
    profile: values.profile === true,
    environment,
  };
}

function parse(argv: readonly string[]) {
  try {
    const option = { type: 'string' } as const;
    return parseArgs({
      args: [...argv],
      options: {
        model: option,
        host: option,
        port: option,
        slots: option,
        'max-queue': option,
        context: option,
        'kv-tokens': option,
        'prefix-cache-mb': option,
        'prefill-chunk': option,
        'draft-tokens': option,
        threads: option,
        'drain-seconds': option,
        adapters: option,
        embeddings: option,
        profile: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    }).values;
  } catch (error) {
    throw new SentenceError(`${error instanceof Error ? error.message.split('.')[0] : error}. --help lists the options.`, { cause: error });
  }
}

function wholeNumber(name: string, text: string | undefined, fallback: number, least: number, most: number): number {
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most || text.trim() === '') {
    throw new SentenceError(`--${name} must be a whole number from ${least} to ${most}.`);
  }
  return value;
}
