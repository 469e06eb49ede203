/**
 * `npm run test:clients`: starts the whole stack, prepares each client in a folder of its own, has it call, and prints a table. `-- NAME …`
 * runs some of them. A client whose toolchain is not here is skipped, and said to be; the exit code tells of failures only.
 */
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSettings } from '../../../models/local/settings.ts';
import { startCheckingProxy } from '../../support/checking-proxy.ts';
import { startPenstock } from '../../support/start-penstock.ts';
import { type Client, clients } from './clients.ts';
import { type CaseResult, describeResults, readResults } from './report.ts';
import { run, succeeds } from './run-program.ts';

const HERE = import.meta.dirname;
const MODEL = 'smollm2-135m-instruct';
const EMBEDDING_MODEL = 'all-minilm-l6-v2';
const KEY = 'sk-local';
/** So many are prepared, and call, at the same time. */
const AT_ONCE = 2;

const settings = readSettings([]);
if (settings === 'help') throw new Error('no argument asks for help');
const cache = join(settings.cacheFolder, 'clients');
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(clients);
const unknown = names.filter((name) => !(name in clients));
if (unknown.length > 0) {
  process.stderr.write(`There is no client ${unknown.join(', ')}. There are ${Object.keys(clients).join(', ')}.\n`);
  process.exit(2);
}

const startedAt = performance.now();
const wanted = Object.entries(clients).filter(([name]) => names.includes(name));
const prepared = await inTurns(wanted, async ([name, client]) => ({ name, client, ...(await prepare(name, client)) }));
say(`prepared in ${cache}`);
// A tiny encoder stands for an embedding model: the same engine, container and endpoint, with vectors of eight numbers.
const embeddings = join(HERE, '../../fixtures/engine/tiny-embedding');
// A short context bounds the answers of clients that ask without a limit.
const penstock = await startPenstock(['--embeddings', embeddings, '--context', '1024']);
const proxy = await startCheckingProxy(penstock.port);
let results: readonly CaseResult[];
try {
  results = [...(await inTurns(prepared, callWith)).flat(), judgeDocument()];
} finally {
  await proxy.stop();
  await penstock.stop();
}
process.stdout.write(`\n${describeResults(results)}\n`);
process.exit(results.some(({ outcome }) => outcome === 'FAIL') ? 1 : 0);

/** All that the clients were answered, held against OpenAI's own document on its way. */
function judgeDocument(): CaseResult {
  const problems = proxy.problems();
  say(`${proxy.judged()} answers and events held against OpenAI's document, ${problems.length} problems`);
  const about = { client: "OpenAI's document", case: 'answers' };
  if (proxy.judged() === 0) return { ...about, outcome: 'skip', detail: 'nobody was answered anything' };
  return { ...about, outcome: problems.length === 0 ? 'ok' : 'FAIL', detail: problems.join(' | ') };
}

/** @returns the folder, or why there is none. */
async function prepare(name: string, client: Client): Promise<{ folder: string } | { problem: CaseResult }> {
  const problem = (outcome: CaseResult['outcome'], detail: string) => ({ problem: { client: name, case: 'prepare', outcome, detail } });
  for (const { probe, name: need } of client.needs) {
    if (!(await succeeds(probe))) return problem('skip', `${need} is not here`);
  }
  const contents = await Promise.all(client.files.map((file) => readFile(join(HERE, file))));
  const digest = contents.reduce((hash, content) => hash.update(content), createHash('sha256')).digest('hex');
  const folder = join(cache, `${name}-${digest.slice(0, 12)}`);
  const done = join(folder, '.prepared');
  try {
    await access(done);
  } catch {
    // What an interrupted run left behind is no ground to build on.
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    try {
      await client.prepare(folder);
    } catch (error) {
      return problem('FAIL', describe(error));
    }
    await writeFile(done, '');
    say(`prepared ${name}`);
  }
  return { folder };
}

async function callWith({
  name,
  client,
  ...state
}: { name: string; client: Client } & Awaited<ReturnType<typeof prepare>>): Promise<readonly CaseResult[]> {
  if ('problem' in state) return [state.problem];
  const command = [...client.command(state.folder), proxy.url, KEY, MODEL, EMBEDDING_MODEL];
  try {
    const reported = readResults(await run(command));
    say(`${name} has called`);
    return reported.length > 0 ? reported : [{ client: name, case: 'run', outcome: 'FAIL', detail: 'it reported nothing' }];
  } catch (error) {
    return [{ client: name, case: 'run', outcome: 'FAIL', detail: describe(error) }];
  }
}

/** A few at a time; results in the order of what was given. */
async function inTurns<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<readonly Result[]> {
  const results: Result[] = [];
  const waiting = [...items.entries()];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) results[next[0]] = await work(next[1]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

function say(sentence: string): void {
  process.stdout.write(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(4)} s  ${sentence}\n`);
}

function describe(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).replaceAll(/\s*\n\s*/g, ' | ');
}
