/**
 * The tokenizer beside its peers: load, memory, encoding speed and hostile input, each figure with its ratio from the same run.
 * `npm run bench:tokenizer`, with `-- --rounds N` for more rounds and `-- --only load|encode|hostile` for a part.
 *
 * CPU time, not wall time, in a process of its own for each figure, bundled as for Lambda; peers take turns; the median counts, for speeds all
 * rounds together, as the clock of CPU time may be as coarse as 4 ms.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { build } from 'esbuild';
import { spellBytes } from '../../layers/tokenizer/byte-level-alphabet.ts';
import { compileTokenizerJson } from '../../layers/tokenizer/index.ts';
import { readVocabulary } from '../../layers/tokenizer/vocabulary-file.ts';
import { encodingPath, loadEncoding } from '../../models/tokenizers/encodings.ts';
import { HOSTILE_TEXTS } from './tokenizer/hostile-texts.ts';
import { installedTokenizerJson, type LibraryName, librariesFor, type VocabularyName } from './tokenizer/libraries.ts';
import type { EncodeMeasurement, HostileMeasurement, LoadMeasurement } from './tokenizer/measure.ts';
import { TEXT_KINDS } from './tokenizer/texts.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' }, only: { type: 'string' } } });
const rounds = Number(values.rounds);
const root = new URL('../../', import.meta.url);
/** As deep as the sources, so that the paths to node_modules hold. */
const bundle = fileURLToPath(new URL('dist/bench/tokenizer/', root));
const run = promisify(execFile);

await build({
  entryPoints: [fileURLToPath(new URL('tokenizer/measure.ts', import.meta.url))],
  outdir: bundle,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  packages: 'external',
  minify: true,
  logLevel: 'error',
});
const scratch = await mkdtemp(join(tmpdir(), 'penstock-bench-'));
try {
  if (values.only === undefined || values.only === 'load') await reportLoad();
  if (values.only === undefined || values.only === 'encode') await reportEncode();
  if (values.only === undefined || values.only === 'hostile') await reportHostile();
} finally {
  await rm(scratch, { recursive: true });
}

/** The compiled vocabulary, and the tokenizer.json for those peers that take one. */
async function prepare(name: VocabularyName): Promise<readonly [compiled: string, json: string]> {
  if (name === 'r50k_base' || name === 'cl100k_base' || name === 'o200k_base') {
    await loadEncoding(name);
    return [encodingPath(name), ''];
  }
  if (name === 'smollm2') {
    const compiled = fileURLToPath(new URL('models/tokenizers/smollm2/vocabulary.bin', root));
    const json = join(scratch, 'smollm2.json');
    await writeFile(json, JSON.stringify(rebuildTokenizerJson(await readFile(compiled))));
    return [compiled, json];
  }
  const json = fileURLToPath(installedTokenizerJson(name));
  const compiled = join(scratch, `${name}.bin`);
  await writeFile(compiled, compileTokenizerJson(JSON.parse(await readFile(json, 'utf8'))));
  return [compiled, json];
}

/** SmolLM2's tokenizer.json from its compiled form, for the peers. */
function rebuildTokenizerJson(file: Uint8Array): object {
  const { tokenOffsets, tokenBytes, mergePairs } = readVocabulary(file).vocabulary;
  const tokens = Array.from({ length: tokenOffsets.length - 1 }, (_, id) =>
    spellBytes(tokenBytes.subarray(tokenOffsets[id], tokenOffsets[id + 1])),
  );
  const merges = tokens.flatMap((_, id) => {
    const [left, right] = [tokens[mergePairs[id * 2] ?? -1], tokens[mergePairs[id * 2 + 1] ?? -1]];
    return left === undefined || right === undefined ? [] : [`${left} ${right}`];
  });
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] },
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges },
  };
}

async function measure<Result>(...args: readonly string[]): Promise<Result> {
  const { stdout } = await run(process.execPath, ['--expose-gc', join(bundle, 'measure.mjs'), ...args]);
  return JSON.parse(stdout) as Result;
}

/** Every library in turn. */
async function compare<Result>(
  name: VocabularyName,
  times: number,
  what: string,
  ...more: readonly string[]
): Promise<ReadonlyMap<LibraryName, readonly Result[]>> {
  const [compiled, json] = await prepare(name);
  const results = new Map<LibraryName, Result[]>(librariesFor(name).map((library) => [library, []]));
  for (let round = 0; round < times; round++) {
    for (const [library, list] of results) list.push(await measure<Result>(what, library, name, compiled, json, ...more));
  }
  return results;
}

async function reportLoad(): Promise<void> {
  console.log('Load: CPU ms and resident MB, in a process that has node:crypto and node:http as any server does\n');
  for (const name of ['cl100k_base', 'o200k_base', 'smollm2', 'llama3'] as const) {
    const results = await compare<LoadMeasurement>(name, rounds + 2, 'load');
    printTable(name, results, [
      ['CPU ms', ({ cpuMs }) => cpuMs, 'less'],
      ['MB', ({ residentMb }) => residentMb, 'less'],
    ]);
  }
}

async function reportEncode(): Promise<void> {
  console.log('Encode: MB of UTF-8 per second of CPU, prompts of 8,000 characters, first pass over fresh text and warm\n');
  for (const name of ['cl100k_base', 'o200k_base', 'smollm2', 'qwen3'] as const) {
    for (const kind of TEXT_KINDS) {
      const results = await compare<EncodeMeasurement>(name, rounds, 'encode', kind);
      printTable(`${name}, ${kind}`, results, [
        ['first', ({ first }) => first, 'more'],
        ['warm', ({ warm }) => warm, 'more'],
      ]);
    }
  }
}

async function reportHostile(): Promise<void> {
  console.log('Hostile: CPU ms for 1,000,000 characters without a break; peers get 20,000, as theirs grows faster than the text\n');
  for (const name of ['cl100k_base', 'o200k_base', 'smollm2'] as const) {
    const [compiled, json] = await prepare(name);
    for (const kind of Object.keys(HOSTILE_TEXTS)) {
      const figures: string[] = [];
      for (const library of librariesFor(name)) {
        const { cpuMs, characters, longestBlockMs } = await measure<HostileMeasurement>('hostile', library, name, compiled, json, kind);
        const block = longestBlockMs === undefined ? '' : `, longest block ${longestBlockMs.toFixed(1)}`;
        figures.push(`${library} ${cpuMs.toFixed(0)} ms for ${characters.toLocaleString('en')}${block}`);
      }
      console.log(`${name.padEnd(12)} ${kind.padEnd(16)} ${figures.join(' · ')}`);
    }
  }
}

type Column<Result> = readonly [title: string, read: (result: Result) => number, better: 'less' | 'more'];

/** The ratio is how much better ours is. */
function printTable<Result>(title: string, results: ReadonlyMap<LibraryName, readonly Result[]>, columns: readonly Column<Result>[]): void {
  const summaries = columns.map(
    ([, read, better]) =>
      new Map([...results].map(([library, list]) => [library, (better === 'less' ? median : harmonicMean)(list.map(read))])),
  );
  console.log(title);
  for (const library of results.keys()) {
    const cells = columns.map(([column, , better], index) => {
      const [own, theirs] = [summaries[index]?.get('penstock') ?? 0, summaries[index]?.get(library) ?? 0];
      const ratio = library === 'penstock' ? '' : ` (${(better === 'less' ? theirs / own : own / theirs).toFixed(1)}x)`;
      return `${column} ${theirs.toFixed(1)}${ratio}`.padEnd(24);
    });
    console.log(`  ${library.padEnd(30)}${cells.join('')}`);
  }
  console.log('');
}

/** Of speeds: all bytes by all the time. */
function harmonicMean(speeds: readonly number[]): number {
  return speeds.length / speeds.reduce((sum, speed) => sum + 1 / speed, 0);
}

function median(figures: readonly number[]): number {
  return figures.toSorted((a, b) => a - b)[figures.length >> 1] ?? Number.NaN;
}
