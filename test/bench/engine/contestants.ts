/** The two servers that `npm run bench:engine` runs beside each other, both over HTTP. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { processEnvironment } from '../../../models/local/container/process-environment.ts';
import { fetchGguf } from '../../../models/local/fetch-gguf.ts';
import { freePort } from '../../../models/local/free-port.ts';
import { readSettings } from '../../../models/local/settings.ts';
import { openRealModel } from '../../support/real-model.ts';

export interface Contestant {
  readonly name: string;
  readonly process: ChildProcess;
  /** Times at which tokens arrived, in milliseconds, and the time of the request. */
  generate(prompt: readonly number[], tokens: number): Promise<{ sentAt: number; arrivals: number[]; tokenIds: number[] }>;
}

let salt = 1;
/** Prompts that share no beginning, so that no cache can help. */
export function freshPrompt(length: number): number[] {
  salt++;
  return Array.from({ length }, (_, i) => 1000 + ((i * 7919 + salt * 104_729 + i * i * 31) % 40_000));
}

export interface OurContainer extends Contestant {
  /** From the start of the process, with a warm cache. */
  readonly readyMs: number;
  metrics(): Promise<string>;
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

/** With the environment that `npm start` gives it. */
export async function startOurs(threads: number, ...more: string[]): Promise<OurContainer> {
  const model = await openRealModel('fast');
  const port = await freePort();
  const main = new URL('../../../models/local/container/main.ts', import.meta.url).pathname;
  const startedAt = performance.now();
  const child = spawn(process.execPath, [main, '--model', model.path, '--port', `${port}`, '--threads', `${threads}`, ...more], {
    env: { ...process.env, ...processEnvironment(process.env) },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await untilLine(child, '"event":"ready"');
  return {
    name: 'ours',
    process: child,
    readyMs: performance.now() - startedAt,
    metrics: async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text(),
    generate: (prompt, tokens) =>
      stream(
        `http://127.0.0.1:${port}/invocations`,
        { prompt, max_tokens: tokens, temperature: 0, stream: true, return_token_ids: true, ignore_eos: true },
        (data) => (JSON.parse(data) as { choices: { token_ids?: number[] }[] }).choices.flatMap((choice) => choice.token_ids ?? []),
      ),
  };
}

/** @param more `guess` for prompt lookup of its own, which it does not do by itself. */
export async function startPeer(threads: number, ...more: readonly 'guess'[]): Promise<Contestant> {
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
  const script = new URL('./peer.py', import.meta.url).pathname;
  const child = spawn(python, [script, gguf, `${port}`, `${threads}`, ...more], { stdio: ['pipe', 'pipe', 'ignore'] });
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

export function stop(...contestants: readonly Contestant[]): void {
  for (const { process: child } of contestants) child.kill('SIGKILL');
}
