/** One measurement, in a process of its own: `node measure.ts load|encode LIBRARY VOCABULARY COMPILED JSON [TEXT KIND]`. Prints JSON. */
import { LIBRARIES, type LibraryName, type VocabularyName } from './libraries.ts';
import { loadPrompts, type TextKind } from './texts.ts';

export interface LoadMeasurement {
  readonly cpuMs: number;
  readonly residentMb: number;
}

export interface EncodeMeasurement {
  /** Megabytes of UTF-8 a second of CPU. */
  readonly first: number;
  readonly warm: number;
  readonly tokens: number;
}

const CHARACTERS = 400_000;
const WARM_PASSES = 6;

async function measureLoad(library: LibraryName, vocabulary: VocabularyName, compiled: string, json: string): Promise<LoadMeasurement> {
  globalThis.gc?.();
  const rss = process.memoryUsage.rss();
  const cpu = process.cpuUsage();
  const loaded = await LIBRARIES[library](vocabulary, compiled, json);
  await loaded.encode('Hello, world');
  const { user, system } = process.cpuUsage(cpu);
  globalThis.gc?.();
  return { cpuMs: (user + system) / 1000, residentMb: (process.memoryUsage.rss() - rss) / 1e6 };
}

async function measureEncode(
  library: LibraryName,
  vocabulary: VocabularyName,
  compiled: string,
  json: string,
  kind: TextKind,
): Promise<EncodeMeasurement> {
  const { encode } = await LIBRARIES[library](vocabulary, compiled, json);
  const prompts = loadPrompts(kind, kind === 'Chinese' ? CHARACTERS / 3 : CHARACTERS, 0);
  const bytes = prompts.reduce((sum, prompt) => sum + Buffer.byteLength(prompt), 0);
  for (const prompt of loadPrompts(kind, 60_000, 1)) await encode(prompt); // so that the compiler has been at work
  let tokens = 0;
  const pass = async () => {
    const cpu = process.cpuUsage();
    tokens = 0;
    for (const prompt of prompts) tokens += await encode(prompt);
    const { user, system } = process.cpuUsage(cpu);
    return bytes / (user + system);
  };
  const first = await pass();
  const warm: number[] = [];
  const cpu = process.cpuUsage();
  for (let index = 0; index < WARM_PASSES; index++) warm.push(await pass());
  const { user, system } = process.cpuUsage(cpu);
  return { first, warm: (bytes * WARM_PASSES) / (user + system), tokens };
}

if (import.meta.main) {
  const [what, library, vocabulary, compiled = '', json = '', kind] = process.argv.slice(2);
  const result =
    what === 'load'
      ? await measureLoad(library as LibraryName, vocabulary as VocabularyName, compiled, json)
      : await measureEncode(library as LibraryName, vocabulary as VocabularyName, compiled, json, kind as TextKind);
  process.stdout.write(JSON.stringify(result));
}
