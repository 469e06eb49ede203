/** The whole gateway as a process, in front of a real vLLM, called by the official client. Run by `npm run test:vllm`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { catalog } from '../../models/catalog.ts';
import { freePort } from '../../models/local/free-port.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION, type TestRuntime } from '../support/sagemaker-runtime.ts';
import { MAX_MODEL_LENGTH, SERVED_MODEL } from './vllm-server.ts';

const VLLM_URL = process.env['VLLM_URL'] ?? '';
const EXIT_WITH_PARENT = new URL('../../models/local/exit-with-parent.ts', import.meta.url).href;
const GATEWAY = new URL('../../functions/gateway/local.ts', import.meta.url).pathname;

let folder: string;
let runtime: TestRuntime;
let gateway: ChildProcess;
/** The same client twice: through the gateway, and to vLLM directly. */
let ours: OpenAI;
let theirs: OpenAI;

beforeAll(async () => {
  const served = catalog.find((model) => model.id === SERVED_MODEL);
  if (served === undefined) throw new Error(`the catalog has no ${SERVED_MODEL}`);
  const { name, inferenceComponent = 'base' } = served.endpoint;
  runtime = await startTestRuntime({
    endpoints: { [name]: { inferenceComponents: { [inferenceComponent]: { containers: [VLLM_URL] } } } },
  });
  folder = await mkdtemp(join(tmpdir(), 'penstock-vllm-'));
  const catalogFile = join(folder, 'catalog.json');
  await writeFile(catalogFile, JSON.stringify([{ ...served, endpoint: { name, inferenceComponent }, contextLength: MAX_MODEL_LENGTH }]));
  const port = await freePort();
  gateway = spawn(process.execPath, ['--import', EXIT_WITH_PARENT, GATEWAY], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: {
      PATH: process.env['PATH'],
      PORT: String(port),
      PENSTOCK_CATALOG: catalogFile,
      PENSTOCK_DATA: 'memory',
      AWS_REGION: TEST_REGION,
      AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
      AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: runtime.url,
    },
  });
  while (!(await isReady(`http://127.0.0.1:${port}/readyz`))) {
    if (gateway.exitCode !== null) throw new Error('the gateway did not start');
    await sleep(50);
  }
  ours = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'sk-local', maxRetries: 0 });
  theirs = new OpenAI({ baseURL: `${VLLM_URL}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  const exited = once(gateway, 'exit');
  gateway.kill('SIGTERM');
  await exited;
  await runtime[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function isReady(url: string): Promise<boolean> {
  return fetch(url).then(
    (response) => response.ok,
    () => false,
  );
}

describe('the gateway', () => {
  const chats: OpenAI.ChatCompletionMessageParam[][] = [
    [{ role: 'user', content: 'What is the capital of France?' }],
    [
      { role: 'system', content: 'You answer in one short sentence.' },
      { role: 'user', content: 'Why is the sky blue? 😀 Привет, 日本語!' },
    ],
    [
      { role: 'user', content: 'Count to 3.' },
      { role: 'assistant', content: '1, 2, 3' },
      { role: 'user', content: 'Go on to 12345, in digits.' },
    ],
  ];

  it.each(chats)('answers a chat as vLLM does, which renders and tokenizes by itself', async (...messages) => {
    const request = { model: SERVED_MODEL, messages, temperature: 0, max_tokens: 48 };
    const [answer, expected] = [await ours.chat.completions.create(request), await theirs.chat.completions.create(request)];
    expect(answer.choices[0]?.message.content).toBe(expected.choices[0]?.message.content);
    expect(answer.choices[0]?.finish_reason).toBe(expected.choices[0]?.finish_reason);
    expect(answer.usage).toMatchObject({
      prompt_tokens: expected.usage?.prompt_tokens,
      completion_tokens: expected.usage?.completion_tokens,
    });
  });

  it.each(chats)('streams the same text', async (...messages) => {
    const request = { model: SERVED_MODEL, messages, temperature: 0, max_tokens: 48 };
    const stream = await ours.chat.completions.create({ ...request, stream: true, stream_options: { include_usage: true } });
    let text = '';
    let finishReason: string | null | undefined;
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      finishReason = chunk.choices[0]?.finish_reason ?? finishReason;
      usage = chunk.usage ?? usage;
    }
    const expected = await theirs.chat.completions.create(request);
    expect(text).toBe(expected.choices[0]?.message.content);
    expect(finishReason).toBe(expected.choices[0]?.finish_reason);
    expect(usage?.completion_tokens).toBe(expected.usage?.completion_tokens);
  });

  it('stops at a stop sequence as vLLM does', async () => {
    const request = { model: SERVED_MODEL, prompt: 'The capital of France is', temperature: 0, max_tokens: 32, stop: ['answer'] };
    const [answer, expected] = [await ours.completions.create(request), await theirs.completions.create(request)];
    expect(answer.choices[0]).toMatchObject({ text: expected.choices[0]?.text, finish_reason: expected.choices[0]?.finish_reason });
  });

  it('never turns a user’s text into a control token, which vLLM does when it renders', async () => {
    const request = { model: SERVED_MODEL, messages: [{ role: 'user' as const, content: 'Hi <|im_end|>' }], temperature: 0, max_tokens: 1 };
    const answer = await ours.chat.completions.create(request);
    const expected = await theirs.chat.completions.create(request);
    expect(answer.usage?.prompt_tokens).toBeGreaterThan(expected.usage?.prompt_tokens ?? 0); // spelled out, not one id
  });
});
