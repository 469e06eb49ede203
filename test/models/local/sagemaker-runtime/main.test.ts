/** The runtime as a process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InvokeEndpointWithResponseStreamCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { TEST_CREDENTIALS, TEST_REGION } from '../../../support/sagemaker-runtime.ts';
import { replayThen, type ScriptedContainer, startScriptedContainer } from '../../../support/scripted-container.ts';
import { loadRecording } from '../../../support/vllm-recordings.ts';

const MAIN = new URL('../../../../models/local/sagemaker-runtime/main.ts', import.meta.url).pathname;

let folder: string;
let container: ScriptedContainer;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-runtime-'));
  container = await startScriptedContainer();
});
afterAll(async () => {
  await container[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function writeConfig(name: string, changes: object = {}): Promise<string> {
  const config = { region: TEST_REGION, credentials: TEST_CREDENTIALS, endpoints: { gpt: { containers: [container.url] } }, ...changes };
  const file = join(folder, name);
  await writeFile(file, JSON.stringify(config));
  return file;
}

function run(...args: string[]): ChildProcess {
  return spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
}

async function finish(child: ChildProcess): Promise<{ code: number | null; output: string; errors: string }> {
  const text = { output: '', errors: '' };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (text.output += chunk));
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (text.errors += chunk));
  const [code] = await once(child, 'close');
  return { code, ...text };
}

/** Resolves with the port once it listens. */
async function listening(child: ChildProcess): Promise<number> {
  const [line] = await once(child.stdout ?? child, 'data');
  return JSON.parse(String(line)).port;
}

it('explains itself', async () => {
  expect(await finish(run('--help'))).toMatchObject({ code: 0, output: expect.stringContaining('--config FILE'), errors: '' });
});

it.each<[string, () => Promise<string[]>, RegExp]>([
  ['no configuration', async () => [], /--config FILE is missing/],
  ['an option that it does not know', async () => ['--fast'], /--fast.*--help lists the options/s],
  ['a port that is none', async () => ['--config', 'x', '--port', 'http'], /--port must be a whole number/],
  ['a file that is missing', async () => ['--config', join(folder, 'missing.json')], /missing\.json cannot be read/],
  [
    'a bad configuration',
    async () => ['--config', await writeConfig('bad.json', { region: 7, sed: 1 })],
    /region: .*\n.*sed: is not a setting/s,
  ],
  [
    'a bad fault plan',
    async () => ['--config', await writeConfig('fine.json'), '--faults', await writeConfig('plan.json')],
    /Bad fault plan:.*faults: is missing/s,
  ],
])('ends with a sentence and code 1 for %s', async (_, args, sentence) => {
  const { code, errors } = await finish(run(...(await args())));
  expect(code).toBe(1);
  expect(errors).toMatch(sentence);
  expect(errors).not.toContain('    at ');
});

it('says that its port is taken', async () => {
  const port = new URL(container.url).port;
  const { code, errors } = await finish(run('--config', await writeConfig('taken.json'), '--port', port));
  expect({ code, errors }).toEqual({ code: 1, errors: expect.stringMatching(`Port ${port} is taken`) });
});

it('lets a running stream end when it is asked to stop', async () => {
  const recording = loadRecording('stream-length');
  const { promise: go, resolve: letGo } = Promise.withResolvers<void>();
  container.play(
    replayThen(recording, 1, async (response) => {
      await go;
      for (const chunk of recording.chunks.slice(1)) response.write(chunk);
      response.end();
    }),
  );
  const child = run('--config', await writeConfig('drain.json'), '--port', '0');
  const port = await listening(child);
  const client = new SageMakerRuntimeClient({
    endpoint: `http://127.0.0.1:${port}`,
    region: TEST_REGION,
    credentials: { ...TEST_CREDENTIALS },
    maxAttempts: 1,
  });
  const output = await client.send(new InvokeEndpointWithResponseStreamCommand({ EndpointName: 'gpt', Body: Buffer.from('{}') }));
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  letGo();
  const parts: Uint8Array[] = [];
  for await (const { PayloadPart } of output.Body ?? []) if (PayloadPart?.Bytes !== undefined) parts.push(PayloadPart.Bytes);
  expect(Buffer.concat(parts).toString()).toBe(recording.chunks.join(''));
  client.destroy();
  expect(await exited).toEqual([0, null]);
});

it('cuts what has not ended after the time for draining', async () => {
  container.play(replayThen(loadRecording('stream-length'), 1, (response) => once(response, 'close').then(() => undefined)));
  const child = run('--config', await writeConfig('short.json', { drainSeconds: 0.1 }), '--port', '0');
  const port = await listening(child);
  const client = new SageMakerRuntimeClient({
    endpoint: `http://127.0.0.1:${port}`,
    region: TEST_REGION,
    credentials: { ...TEST_CREDENTIALS },
    maxAttempts: 1,
  });
  const output = await client.send(new InvokeEndpointWithResponseStreamCommand({ EndpointName: 'gpt', Body: Buffer.from('{}') }));
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await expect(
    (async () => {
      for await (const _ of output.Body ?? []);
    })(),
  ).rejects.toThrow();
  expect(await exited).toEqual([1, null]);
  client.destroy();
  await container.requests.at(-1)?.abandoned;
});
