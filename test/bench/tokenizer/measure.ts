/** One measurement, in a process of its own: `node measure.mjs load|encode|hostile LIBRARY VOCABULARY COMPILED JSON [KIND]`. Prints JSON. */
import 'node:crypto'; // any server has these, so no tokenizer is charged with them
import 'node:http';
import { HOSTILE_TEXTS } from './hostile-texts.ts';
import { LIBRARIES, type LibraryName, type VocabularyName } from './libraries.ts';
import { loadPrompts, TEXT_KINDS, type TextKind } from './texts.ts';

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

export interface HostileMeasurement {
  readonly cpuMs: number;
  readonly characters: number;
  /** Ours only: the longest time that `encodeAsync` held the event loop, in CPU ms. */
  readonly longestBlockMs?: number;
}

const CHARACTERS = 400_000;
const HOSTILE_CHARACTERS = 1_000_000;
/** A peer that is quadratic would take minutes for more. */
const HOSTILE_CHARACTERS_PEERS = 20_000;
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
  const characters = kind === 'Chinese' ? CHARACTERS / 3 : CHARACTERS;
  const prompts = loadPrompts(kind, characters, 0);
  const bytes = prompts.reduce((sum, prompt) => sum + Buffer.byteLength(prompt), 0);
  // Other text of every kind first, so that what is measured is a server at work and not its compiler.
  for (const other of TEXT_KINDS) for (const prompt of loadPrompts(other, characters, 1)) await encode(prompt);
  let tokens = 0;
  const measurePasses = async (passes: number) => {
    const start = cpuMicroseconds(library);
    for (let pass = 0; pass < passes; pass++) {
      tokens = 0;
      for (const prompt of prompts) tokens += await encode(prompt);
    }
    return (bytes * passes) / (cpuMicroseconds(library) - start);
  };
  return { first: await measurePasses(1), warm: await measurePasses(WARM_PASSES), tokens };
}

/** Of the thread that encodes; the native library has threads of its own, so there it is the process's. */
function cpuMicroseconds(library: LibraryName): number {
  const { user, system } = library === 'tokenizers (native)' ? process.cpuUsage() : process.threadCpuUsage();
  return user + system;
}

async function measureHostile(
  library: LibraryName,
  vocabulary: VocabularyName,
  compiled: string,
  json: string,
  kind: string,
): Promise<HostileMeasurement> {
  const { encode, encodeAsync } = await LIBRARIES[library](vocabulary, compiled, json);
  for (const prompt of loadPrompts('code', 60_000, 1)) await encode(prompt);
  const characters = encodeAsync === undefined ? HOSTILE_CHARACTERS_PEERS : HOSTILE_CHARACTERS;
  const text = HOSTILE_TEXTS[kind]?.(characters) ?? '';
  const cpu = process.cpuUsage();
  await encode(text);
  const { user, system } = process.cpuUsage(cpu);
  const cpuMs = (user + system) / 1000;
  return encodeAsync === undefined
    ? { cpuMs, characters }
    : { cpuMs, characters, longestBlockMs: await longestBlock(() => encodeAsync(text)) };
}

/** Turns of the event loop while the work runs, by the CPU time between them. */
async function longestBlock(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let running = true;
  let before = process.threadCpuUsage();
  const watch = () => {
    const { user, system } = process.threadCpuUsage(before);
    longest = Math.max(longest, (user + system) / 1000);
    before = process.threadCpuUsage();
    if (running) setImmediate(watch);
  };
  setImmediate(watch);
  await work();
  running = false;
  return longest;
}

if (import.meta.main) {
  const [what, library, vocabulary, compiled = '', json = '', kind] = process.argv.slice(2);
  const of = [library as LibraryName, vocabulary as VocabularyName, compiled, json] as const;
  const measures: Readonly<Record<string, () => Promise<unknown>>> = {
    load: () => measureLoad(...of),
    encode: () => measureEncode(...of, kind as TextKind),
    hostile: () => measureHostile(...of, kind ?? ''),
  };
  const measure = measures[what ?? ''];
  if (measure === undefined) throw new Error('measure load, encode or hostile');
  process.stdout.write(JSON.stringify(await measure()));
}
