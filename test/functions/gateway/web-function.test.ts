import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleFunction, FUNCTIONS } from '../../../functions/bundle.ts';
import { freePort } from '../../../models/local/free-port.ts';
import { BUNDLE_BUDGET } from '../../support/bundle-budget.ts';
import { TEST_KEY } from '../../support/gateway.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION, type TestRuntime } from '../../support/sagemaker-runtime.ts';
import { replay, replayThen, type ScriptedContainer, startScriptedContainer } from '../../support/scripted-container.ts';
import { loadRecording, recordedChoices } from '../../support/vllm-recordings.ts';

/** The bundle that is deployed, started as Lambda starts it: a process with an address to listen at. */
const recording = loadRecording('stream-length');
const texts = recordedChoices(recording).map((choice) => choice.text);

let folder: string;
let container: ScriptedContainer;
let runtime: TestRuntime;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-web-function-'));
  expect(await bundleFunction('web-function', folder)).toBeLessThanOrEqual(BUNDLE_BUDGET);
  container = await startScriptedContainer();
  runtime = await startTestRuntime({
    endpoints: { 'penstock-gpt': { inferenceComponents: { 'smollm2-135m-instruct': { containers: [container.url] } } } },
  });
});

afterAll(async () => {
  await runtime?.[Symbol.asyncDispose]();
  await container?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Web extends AsyncDisposable {
  readonly url: string;
  readonly process: ChildProcess;
  log(): string;
}

async function startWeb(settings: Record<string, string> = {}): Promise<Web> {
  const port = await freePort();
  const child = spawn(process.execPath, [join(folder, FUNCTIONS['web-function'].file)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      AWS_LAMBDA_HTTP_ENDPOINT: `127.0.0.1:${port}`,
      AWS_REGION: TEST_REGION,
      AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
      AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: runtime.url,
      PENSTOCK_API_KEY_HASHES: createHash('sha256').update(TEST_KEY).digest('hex'),
      MAX_WAITING: '0',
      MAX_RETRIES: '0',
      ...settings,
    },
  });
  let text = '';
  const spoken = Promise.withResolvers<void>();
  child.stdout.on('data', (chunk) => {
    text += chunk;
    if (text.includes('"event":"listening"')) spoken.resolve();
  });
  child.once('exit', () => spoken.resolve());
  await spoken.promise;
  return {
    url: `http://127.0.0.1:${port}`,
    process: child,
    log: () => text,
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}

const complete = (web: Web, signal?: AbortSignal) =>
  fetch(`${web.url}/v1/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'smollm2-135m-instruct',
      prompt: 'The capital of France is',
      max_tokens: 8,
      temperature: 0,
      stream: true,
    }),
    ...(signal === undefined ? {} : { signal }),
  });
const textOf = (body: string) =>
  [...body.matchAll(/^data: (\{.*\})$/gm)].map(([, json = '']) => JSON.parse(json).choices?.[0]?.text ?? '').join('');

describe('the web function', () => {
  it('streams at the address that Lambda names, with the tokenizers of its own package', async () => {
    await using web = await startWeb();
    container.play(replay(recording));
    const body = await (await complete(web)).text();
    expect(textOf(body)).toBe(texts.join(''));
    expect(body.endsWith('data: [DONE]\n\n')).toBe(true);
  });

  it('serves many at once', async () => {
    await using web = await startWeb();
    const all = Promise.withResolvers<void>();
    let begun = 0;
    // No answer goes on before all have begun.
    container.play(
      replayThen(recording, 1, async (response) => {
        begun += 1;
        if (begun === 8) all.resolve();
        await all.promise;
        for (const chunk of recording.chunks.slice(1)) response.write(chunk);
        response.end();
      }),
    );
    const bodies = await Promise.all(Array.from({ length: 8 }, async () => (await complete(web)).text()));
    for (const body of bodies) expect(textOf(body)).toBe(texts.join(''));
  });

  it('ends an answer with an error event before Lambda would cut it, and stops the container', async () => {
    await using web = await startWeb({ DEADLINE_SECONDS: '1' });
    container.play(replayThen(recording, 2, () => new Promise<void>(() => undefined)));
    const body = await (await complete(web)).text();
    expect(body).toContain('"code":"deadline_exceeded"');
    expect(body).not.toContain('[DONE]');
    await container.requests.at(-1)?.abandoned;
  });

  it('stops the container when the caller leaves', async () => {
    await using web = await startWeb();
    container.play(replayThen(recording, 2, () => new Promise<void>(() => undefined)));
    const leave = new AbortController();
    const response = await complete(web, leave.signal);
    await response.body?.getReader().read();
    leave.abort();
    await container.requests.at(-1)?.abandoned;
  });

  it('lets answers end when Lambda stops it', async () => {
    await using web = await startWeb();
    const go = Promise.withResolvers<void>();
    container.play(
      replayThen(recording, 1, async (response) => {
        await go.promise;
        for (const chunk of recording.chunks.slice(1)) response.write(chunk);
        response.end();
      }),
    );
    const response = await complete(web);
    const exit = once(web.process, 'exit');
    web.process.kill('SIGTERM');
    go.resolve();
    expect(textOf(await response.text())).toBe(texts.join(''));
    expect(await exit).toEqual([0, null]);
  });

  it('says that somebody else listens at its address', async () => {
    await using web = await startWeb({ AWS_LAMBDA_HTTP_ENDPOINT: new URL(runtime.url).host });
    expect(web.process.exitCode).toBe(1);
    expect(web.log()).toMatch(/"event":"start-failed","reason":"[^"]*EADDRINUSE/);
  });

  it.each([
    ['no address', { AWS_LAMBDA_HTTP_ENDPOINT: '' }, 'AWS_LAMBDA_HTTP_ENDPOINT'],
    ['no key', { PENSTOCK_API_KEY_HASHES: '' }, 'PENSTOCK_API_KEY_HASHES'],
    ['a deadline that is no number', { DEADLINE_SECONDS: 'soon' }, 'DEADLINE_SECONDS'],
  ])('says what is wrong with its settings: %s', async (_, settings, name) => {
    await using web = await startWeb(settings);
    expect(web.process.exitCode).toBe(1);
    expect(web.log()).toContain(name);
  });
});
