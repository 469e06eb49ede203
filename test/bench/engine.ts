/**
 * The embedded engine beside llama.cpp's server: same GGUF, same machine, both over HTTP, in turn. `npm run bench:engine -- --threads 1`.
 * A round in which other processes used more than 0.15 core is measured again, up to `--retries` times, and marked when it stays so: on
 * a shared machine the ratios of a marked round say little.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { fetchGguf } from '../../models/local/fetch-gguf.ts';
import { freePort } from '../../models/local/free-port.ts';
import { readSettings } from '../../models/local/settings.ts';
import { openRealModel } from '../support/real-model.ts';

const { values: options } = parseArgs({
  options: {
    threads: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '3' },
    retries: { type: 'string', default: '3' },
    only: { type: 'string' },
  },
});
const ROUNDS = Number(options.rounds);
const QUIET_CORES = 0.15;
const TICKS_PER_SECOND = 100; // USER_HZ of Linux

interface Contestant {
  readonly name: string;
  readonly process: ChildProcess;
  /** Times at which tokens arrived, in milliseconds, and the time of the request. */
  generate(prompt: readonly number[], tokens: number): Promise<{ sentAt: number; arrivals: number[]; tokenIds: number[] }>;
}

let salt = 1;
/** Prompts that share no beginning, so that no cache can help. */
function freshPrompt(length: number): number[] {
  salt++;
  return Array.from({ length }, (_, i) => 1000 + ((i * 7919 + salt * 104_729 + i * i * 31) % 40_000));
}

async function stream(url: string, body: object, tokensOf: (data: string) => number[]) {
  const sentAt = performance.now();
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  if (!response.ok || response.body === null) throw new Error(`${url} answered ${response.status}`);
  const arrivals: number[] = [];
  const tokenIds: number[] = [];
  for await (const { data } of response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) {
    for (const id of data === '[DONE]' ? [] : tokensOf(data)) {
      arrivals.push(performance.now());
      tokenIds.push(id);
    }
  }
  return { sentAt, arrivals, tokenIds };
}

async function startOurs(threads: string, ...more: string[]): Promise<Contestant & { readyMs: number }> {
  const model = await openRealModel('fast');
  const port = await freePort();
  const main = new URL('../../models/local/container/main.ts', import.meta.url).pathname;
  const startedAt = performance.now();
  const child = spawn(process.execPath, [main, '--model', model.path, '--port', `${port}`, '--threads', threads, ...more], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await untilLine(child, '"event":"ready"');
  return {
    name: 'ours',
    process: child,
    readyMs: performance.now() - startedAt,
    generate: (prompt, tokens) =>
      stream(
        `http://127.0.0.1:${port}/invocations`,
        { prompt, max_tokens: tokens, temperature: 0, stream: true, return_token_ids: true, ignore_eos: true },
        (data) => (JSON.parse(data) as { choices: { token_ids?: number[] }[] }).choices.flatMap((choice) => choice.token_ids ?? []),
      ),
  };
}

async function startPeer(threads: string): Promise<Contestant> {
  const settings = readSettings([]);
  if (settings === 'help') throw new Error('no settings');
  const venv = join(settings.cacheFolder, 'bench-venv');
  const python = join(venv, 'bin', 'python');
  if (!existsSync(join(venv, 'installed'))) {
    await mkdir(settings.cacheFolder, { recursive: true });
    execFileSync('python3', ['-m', 'venv', venv]);
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', 'xllamacpp'], { stdio: 'inherit' });
    execFileSync('touch', [join(venv, 'installed')]);
  }
  const port = await freePort();
  const gguf = await fetchGguf(settings.cacheFolder, settings.environment);
  const script = new URL('./engine-peer.py', import.meta.url).pathname;
  const child = spawn(python, [script, gguf, `${port}`, threads], { stdio: ['pipe', 'pipe', 'ignore'] });
  await untilLine(child, 'ready');
  return {
    name: 'llama.cpp',
    process: child,
    generate: (prompt, tokens) =>
      stream(
        `http://127.0.0.1:${port}/completion`,
        { prompt, n_predict: tokens, temperature: 0, stream: true, cache_prompt: false, ignore_eos: true, return_tokens: true },
        (data) => (JSON.parse(data) as { tokens?: number[] }).tokens ?? [],
      ),
  };
}

async function untilLine(child: ChildProcess, text: string): Promise<void> {
  if (child.stdout === null) throw new Error('the process has no output');
  for await (const line of createInterface(child.stdout)) if (line.includes(text)) return;
  throw new Error(`the process ended before it said ${text}`);
}

/** Milliseconds. */
const timeToFirst = async (contestant: Contestant, length: number) => {
  const { sentAt, arrivals } = await contestant.generate(freshPrompt(length), 1);
  return (arrivals[0] ?? Number.NaN) - sentAt;
};
/** Tokens a second while all streams are decoding. */
const decodeRate = async (contestant: Contestant, streams: number, promptLength: number, tokens: number) => {
  const runs = await Promise.all(Array.from({ length: streams }, () => contestant.generate(freshPrompt(promptLength), tokens)));
  const from = Math.max(...runs.map(({ arrivals }) => arrivals[0] ?? 0));
  const to = Math.min(...runs.map(({ arrivals }) => arrivals.at(-1) ?? 0));
  const count = runs.reduce((sum, { arrivals }) => sum + arrivals.filter((at) => at > from && at <= to).length, 0);
  return (count / (to - from)) * 1000;
};
const residentMb = ({ process: child }: Contestant) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024;

interface Figure {
  readonly what: string;
  readonly unit: string;
  /** The bar for ours / theirs. */
  readonly bar: string;
  readonly measure: (contestant: Contestant) => Promise<number>;
}
const figures: readonly Figure[] = [
  {
    what: 'decode, one stream',
    unit: 'tok/s',
    bar: options.threads === '1' ? '>= 1.0' : '>= 0.9',
    measure: (c) => decodeRate(c, 1, 16, 64),
  },
  { what: 'decode, total of 8 streams', unit: 'tok/s', bar: '>= 2.0', measure: (c) => decodeRate(c, 8, 16, 64) },
  { what: 'prefill of 512, cold', unit: 'tok/s', bar: '>= 2.0', measure: async (c) => (512 / (await timeToFirst(c, 512))) * 1000 },
  { what: 'prefill of 1024, cold', unit: 'tok/s', bar: '>= 1.8', measure: async (c) => (1024 / (await timeToFirst(c, 1024))) * 1000 },
  { what: 'first token of 256', unit: 'ms', bar: '<= 0.5', measure: (c) => timeToFirst(c, 256) },
  {
    what: 'resident, 8 streams of 256',
    unit: 'MB',
    bar: '<= 0.8',
    measure: async (c) => {
      await decodeRate(c, 8, 200, 56);
      return residentMb(c);
    },
  },
];

/** Cores that processes other than the contestants and this one used, while `work` ran. */
async function withOtherLoad<T>(contestants: readonly Contestant[], work: () => Promise<T>): Promise<{ result: T; otherCores: number }> {
  const ids = [process.pid, ...contestants.flatMap(({ process: child }) => child.pid ?? [])];
  const busy = () => {
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu +(.+)$/m.exec(readFileSync('/proc/stat', 'utf8'))?.[1] ?? '')
      .split(' ')
      .map(Number);
    return user + nice + system + irq + softirq;
  };
  const own = () =>
    ids.reduce((sum, id) => {
      const fields = readFileSync(`/proc/${id}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
      return sum + Number(fields[11]) + Number(fields[12]);
    }, 0);
  const [startedAt, busyBefore, ownBefore] = [performance.now(), busy(), own()];
  const result = await work();
  const seconds = (performance.now() - startedAt) / 1000;
  return { result, otherCores: Math.max(0, busy() - busyBefore - (own() - ownBefore)) / TICKS_PER_SECOND / seconds };
}

const median = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN;

const ours = await startOurs(options.threads);
const peer = await startPeer(options.threads);
try {
  console.log(`${options.threads} thread(s), median of ${ROUNDS} rounds in turn; ours ready in ${Math.round(ours.readyMs)} ms`);
  for (const contestant of [ours, peer]) await decodeRate(contestant, 2, 16, 16); // warm
  for (const figure of figures) {
    if (options.only !== undefined && !figure.what.includes(options.only)) continue;
    const rounds: { mine: number; theirs: number; otherCores: number }[] = [];
    for (let attempt = 0; rounds.length < ROUNDS; attempt++) {
      const { result, otherCores } = await withOtherLoad([ours, peer], async () => ({
        mine: await figure.measure(ours),
        theirs: await figure.measure(peer),
      }));
      if (otherCores <= QUIET_CORES || attempt >= Number(options.retries)) rounds.push({ ...result, otherCores });
      else await sleep(500);
    }
    const ratio = median(rounds.map(({ mine, theirs }) => mine / theirs));
    const noise = Math.max(...rounds.map(({ otherCores }) => otherCores));
    const [mine, theirs] = [median(rounds.map((round) => round.mine)), median(rounds.map((round) => round.theirs))];
    console.log(
      `${figure.what.padEnd(28)} ours ${mine.toFixed(1).padStart(7)}  llama.cpp ${theirs.toFixed(1).padStart(7)} ${figure.unit.padEnd(6)} ratio ${ratio.toFixed(2)} (${figure.bar})  other load ${noise.toFixed(2)} cores${noise > QUIET_CORES ? ', NOT QUIET' : ''}`,
    );
  }
  await measureConversation(ours);
} finally {
  ours.process.kill('SIGTERM');
  peer.process.stdin?.end();
  peer.process.kill('SIGKILL');
}
await measureAllowance();

/** The second turn of a conversation of 512 tokens against its first. */
async function measureConversation(contestant: Contestant): Promise<void> {
  const ratios: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const prompt = freshPrompt(512);
    const first = await contestant.generate(prompt, 16);
    const second = await contestant.generate([...prompt, ...first.tokenIds, ...freshPrompt(16)], 1);
    ratios.push(((first.arrivals[0] ?? Number.NaN) - first.sentAt) / ((second.arrivals[0] ?? Number.NaN) - second.sentAt));
  }
  console.log(`second turn of 512           first token ${median(ratios).toFixed(1)} times sooner than in the first turn (>= 5)`);
}

/** Step time where 4,096 tokens are allowed against 512, with the same active lengths. */
async function measureAllowance(): Promise<void> {
  const rates: number[] = [];
  for (const context of ['512', '4096']) {
    const contestant = await startOurs(options.threads, '--context', context);
    const rounds: number[] = [];
    for (let round = 0; round < ROUNDS; round++) rounds.push(await decodeRate(contestant, 4, 64, 48));
    rates.push(median(rounds));
    contestant.process.kill('SIGTERM');
  }
  const [narrow = Number.NaN, wide = Number.NaN] = rates;
  console.log(`step time, 4096 against 512  ratio ${(narrow / wide).toFixed(2)} (<= 1.1)`);
}
