/**
 * `node test/bench/cold-start.ts [--rounds N]`: what a cold start of the event function costs, beside the same with V8's compile cache at hand and
 * beside a function that only says hello, in the same runtime and in turns. From the start of the process: until the function is ready for its first event, and until the first byte of its
 * first streamed answer has reached Lambda, the endpoint's own time included (a recorded container, which answers at once). CPU is user and
 * system time of the process, from /proc.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { bundleFunction } from '../../functions/bundle.ts';
import { functionUrlEvent } from '../support/lambda-runtime-api.ts';
import { runLambdaFunction } from '../support/run-lambda-function.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION } from '../support/sagemaker-runtime.ts';
import { replay, startScriptedContainer } from '../support/scripted-container.ts';
import { loadRecording } from '../support/vllm-recordings.ts';

interface Sample {
  readonly readyMs: number;
  readonly readyCpuMs: number;
  readonly firstByteMs: number;
  readonly firstByteCpuMs: number;
  readonly rssMb: number;
}

const SUBJECTS = ['gateway', 'cached', 'hello'] as const;
type Subject = (typeof SUBJECTS)[number];

const HELLO = `export const handler = awslambda.streamifyResponse(async (event, stream) => {
  const out = awslambda.HttpResponseStream.from(stream, { statusCode: 200, headers: {}, cookies: [] });
  out.write('hello');
  await new Promise((resolve) => out.end(resolve));
});`;

const KEY = 'sk-bench-0123456789';

const rounds = Number(parseArgs({ options: { rounds: { type: 'string', default: '9' } } }).values.rounds);
const folder = await mkdtemp(join(tmpdir(), 'penstock-cold-start-'));
const container = await startScriptedContainer();
container.play(replay(loadRecording('stream-length')));
const runtime = await startTestRuntime({
  endpoints: { 'penstock-gpt': { inferenceComponents: { 'smollm2-135m-instruct': { containers: [container.url] } } } },
});
const environment = {
  AWS_REGION: TEST_REGION,
  AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
  AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: runtime.url,
  PENSTOCK_API_KEY_HASHES: createHash('sha256').update(KEY).digest('hex'),
  PENSTOCK_TOKENIZERS: fileURLToPath(new URL('../../models/tokenizers', import.meta.url)),
  PENSTOCK_SAFETY_WEIGHTS: fileURLToPath(new URL('../../models/safety/weights/linear-heads.bin', import.meta.url)),
};
const event = functionUrlEvent('POST', '/v1/completions', {
  headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'smollm2-135m-instruct', prompt: 'The capital of France is', max_tokens: 8, temperature: 0, stream: true }),
});

try {
  const gateway = join(folder, 'gateway');
  const bytes = await bundleFunction('event-function', gateway);
  await writeFile(join(folder, 'hello.mjs'), HELLO);
  const cache = join(folder, 'compile-cache');
  await fillCompileCache(join(gateway, 'index.mjs'), cache);
  const subjects: Record<Subject, () => Promise<Sample>> = {
    gateway: () => measure(gateway, 'index'),
    cached: () => measure(gateway, 'index', { NODE_COMPILE_CACHE: cache }),
    hello: () => measure(folder, 'hello'),
  };
  const samples: Record<Subject, Sample[]> = { gateway: [], cached: [], hello: [] };
  for (let round = 0; round <= rounds; round += 1) {
    for (const subject of SUBJECTS) {
      const sample = await subjects[subject]();
      if (round > 0) samples[subject].push(sample); // the first fills the file cache
    }
  }
  report(bytes, samples);
} finally {
  await runtime[Symbol.asyncDispose]();
  await container[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
}

/** Loads the bundle once in a process that leaves what V8 compiled: a killed process leaves nothing. */
async function fillCompileCache(bundle: string, cache: string): Promise<void> {
  const load = `globalThis.awslambda = { streamifyResponse: (handler) => handler };
await import(${JSON.stringify(pathToFileURL(bundle).href)});
process.exit();`;
  await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', load], {
    env: { ...environment, NODE_COMPILE_CACHE: cache },
  });
}

async function measure(root: string, file: string, settings: Readonly<Record<string, string>> = {}): Promise<Sample> {
  const startedAt = performance.now();
  const running = await runLambdaFunction(root, { ...environment, ...settings }, `${file}.handler`);
  await running.api.idle;
  const readyMs = performance.now() - startedAt;
  const readyCpuMs = await cpuOf(running.process.pid);
  const invocation = running.api.invoke(event);
  await invocation.until((body) => body !== '');
  const firstByteMs = performance.now() - startedAt;
  const sample = {
    readyMs,
    readyCpuMs,
    firstByteMs,
    firstByteCpuMs: await cpuOf(running.process.pid),
    rssMb: await rssOf(running.process.pid),
  };
  if (invocation.prelude.statusCode !== 200) throw new Error(invocation.body);
  await running.stop();
  return sample;
}

/** Of all threads, to the nanosecond; /proc/PID/stat counts hundredths of a second. Node's own threads live as long as it does. */
async function cpuOf(pid = 0): Promise<number> {
  const threads = await readdir(`/proc/${pid}/task`);
  const times = await Promise.all(
    threads.map(async (id) => Number((await readFile(`/proc/${pid}/task/${id}/schedstat`, 'utf8')).split(' ')[0])),
  );
  return times.reduce((sum, time) => sum + time, 0) / 1e6; // time on the processor in ns, Linux's Documentation/scheduler/sched-stats
}

async function rssOf(pid = 0): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

function report(bytes: number, samples: Readonly<Record<Subject, readonly Sample[]>>): void {
  const median = (subject: Subject, key: keyof Sample) =>
    samples[subject].map((sample) => sample[key]).toSorted((a, b) => a - b)[samples[subject].length >> 1] ?? 0;
  const rows: [string, keyof Sample][] = [
    ['ready, ms', 'readyMs'],
    ['ready, CPU ms', 'readyCpuMs'],
    ['first byte, ms', 'firstByteMs'],
    ['first byte, CPU ms', 'firstByteCpuMs'],
    ['memory, MB', 'rssMb'],
  ];
  console.log(`bundle ${Math.round(bytes / 1000)} kB; medians of ${samples.gateway.length} cold starts on Node ${process.version}`);
  const line = (title: string, cells: readonly string[]) => console.log(title.padEnd(20) + cells.map((cell) => cell.padStart(14)).join(''));
  line('', ['gateway', 'compile cache', 'hello', 'ratio']);
  for (const [title, key] of rows) {
    const [ours, cached, theirs] = [median('gateway', key), median('cached', key), median('hello', key)];
    line(title, [ours.toFixed(0), cached.toFixed(0), theirs.toFixed(0), (ours / theirs).toFixed(2)]);
  }
}
