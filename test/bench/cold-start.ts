/**
 * `node test/bench/cold-start.ts [--rounds N]`: what a cold start costs of the gateway as event function and as web function, with the code cache
 * that its bundle was given here and without one, beside a function that only says hello in the same runtime, in turns. From the start of the
 * process: until the function is ready for its first event, and until the first byte of its first streamed answer has reached Lambda, the
 * endpoint's own time included (a recorded container, which answers at once). CPU is user and system time of the process, from /proc.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { bundleFunction, FUNCTIONS } from '../../functions/bundle.ts';
import { codeCacheFile } from '../../functions/load-bundle.ts';
import { freePort } from '../../models/local/free-port.ts';
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

const SUBJECTS = ['event', 'event without cache', 'web', 'web without cache', 'hello'] as const;
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
const request = {
  headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
  body: JSON.stringify({ model: 'smollm2-135m-instruct', prompt: 'The capital of France is', max_tokens: 8, temperature: 0, stream: true }),
};

try {
  const bytes = {
    event: await bundleFunction('event-function', join(folder, 'event')),
    web: await bundleFunction('web-function', join(folder, 'web')),
  };
  await writeFile(join(folder, 'hello.mjs'), HELLO);
  const subjects: Record<Subject, () => Promise<Sample>> = {
    event: () => measureEvent(join(folder, 'event'), 'index'),
    'event without cache': await withoutCache('event', (copy) => measureEvent(copy, 'index')),
    web: () => measureWeb(join(folder, 'web')),
    'web without cache': await withoutCache('web', measureWeb),
    hello: () => measureEvent(folder, 'hello'),
  };
  const samples = Object.fromEntries(SUBJECTS.map((subject) => [subject, []])) as unknown as Record<Subject, Sample[]>; // all of them
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

async function withoutCache(name: 'event' | 'web', measure: (folder: string) => Promise<Sample>): Promise<() => Promise<Sample>> {
  const copy = join(folder, `${name}-without`);
  await cp(join(folder, name), copy, { recursive: true, filter: (path) => !path.endsWith(codeCacheFile()) });
  return () => measure(copy);
}

async function measureEvent(root: string, file: string): Promise<Sample> {
  const startedAt = performance.now();
  const running = await runLambdaFunction(root, environment, `${file}.handler`);
  await running.api.idle;
  const ready = await look(running.process, startedAt);
  const invocation = running.api.invoke(functionUrlEvent('POST', '/v1/completions', request));
  await invocation.until((body) => body !== '');
  const answered = await look(running.process, startedAt);
  if (invocation.prelude.statusCode !== 200) throw new Error(invocation.body);
  await running.stop();
  return { readyMs: ready.ms, readyCpuMs: ready.cpuMs, firstByteMs: answered.ms, firstByteCpuMs: answered.cpuMs, rssMb: answered.rssMb };
}

async function measureWeb(root: string): Promise<Sample> {
  const address = `127.0.0.1:${await freePort()}`;
  const startedAt = performance.now();
  const child = spawn(process.execPath, [join(root, FUNCTIONS['web-function'].file)], {
    env: { ...environment, AWS_LAMBDA_HTTP_ENDPOINT: address },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface(child.stdout)) if (line.includes('"listening"')) break;
  const ready = await look(child, startedAt);
  const response = await fetch(`http://${address}/v1/completions`, { method: 'POST', ...request });
  await response.body?.getReader().read();
  const answered = await look(child, startedAt);
  if (response.status !== 200) throw new Error(`The web function answers ${response.status}.`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  return { readyMs: ready.ms, readyCpuMs: ready.cpuMs, firstByteMs: answered.ms, firstByteCpuMs: answered.cpuMs, rssMb: answered.rssMb };
}

async function look({ pid }: ChildProcess, startedAt: number): Promise<{ ms: number; cpuMs: number; rssMb: number }> {
  const ms = performance.now() - startedAt;
  return { ms, cpuMs: await cpuOf(pid), rssMb: await rssOf(pid) };
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

function report(bytes: Readonly<Record<'event' | 'web', number>>, samples: Readonly<Record<Subject, readonly Sample[]>>): void {
  const median = (subject: Subject, key: keyof Sample) =>
    samples[subject].map((sample) => sample[key]).toSorted((a, b) => a - b)[samples[subject].length >> 1] ?? 0;
  const rows: [string, keyof Sample][] = [
    ['ready, ms', 'readyMs'],
    ['ready, CPU ms', 'readyCpuMs'],
    ['first byte, ms', 'firstByteMs'],
    ['first byte, CPU ms', 'firstByteCpuMs'],
    ['memory, MB', 'rssMb'],
  ];
  const [event, web] = [bytes.event, bytes.web].map((size) => Math.round(size / 1000));
  console.log(`bundles ${event} kB (event), ${web} kB (web); medians of ${samples.hello.length} cold starts on Node ${process.version}`);
  const line = (title: string, cells: readonly string[]) => console.log(title.padEnd(20) + cells.map((cell) => cell.padStart(22)).join(''));
  line('', SUBJECTS);
  for (const [title, key] of rows) {
    line(
      title,
      SUBJECTS.map((subject) => median(subject, key).toFixed(0)),
    );
  }
}
