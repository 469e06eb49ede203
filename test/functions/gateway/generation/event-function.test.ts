import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleFunction } from '../../../../functions/bundle.ts';
import { TEST_KEY } from '../../../support/gateway.ts';
import { createGenerationGateway, MODEL, PROMPT, readStream } from '../../../support/generation-gateway.ts';
import { functionUrlEvent } from '../../../support/lambda-runtime-api.ts';
import { type Moto, startMoto } from '../../../support/moto.ts';
import { type RunningFunction, runLambdaFunction } from '../../../support/run-lambda-function.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION, type TestRuntime } from '../../../support/sagemaker-runtime.ts';
import type { ScriptedContainer } from '../../../support/scripted-container.ts';
import { startToyContainer } from '../../../support/toy-container.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

/** Event functions as they are deployed, over DynamoDB: nothing ever tells them that a client has left, and each serves one request at a time. */
let folder: string;
let moto: Moto;
let container: ScriptedContainer;
let runtime: TestRuntime;
const functions: RunningFunction[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-lease-'));
  await bundleFunction('event-function', folder);
  moto = await startMoto();
  await moto.createTable('penstock');
  container = await startToyContainer(10);
  runtime = await startTestRuntime({
    endpoints: { 'penstock-gpt': { inferenceComponents: { [MODEL]: { containers: [container.url] } } } },
  });
}, 300_000);

afterAll(async () => {
  for (const each of functions) await each.stop();
  await runtime?.[Symbol.asyncDispose]();
  await container?.[Symbol.asyncDispose]();
  moto?.stop();
  await rm(folder, { recursive: true, force: true });
});

async function startFunction(): Promise<RunningFunction> {
  const running = await runLambdaFunction(folder, {
    AWS_REGION: TEST_REGION,
    AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
    AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: runtime.url,
    AWS_ENDPOINT_URL_DYNAMODB: moto.client.endpoint,
    PENSTOCK_TABLE: 'penstock',
    PENSTOCK_API_KEY_HASHES: createHash('sha256').update(TEST_KEY).digest('hex'),
    PENSTOCK_TOKENIZERS: fileURLToPath(new URL('../../../../models/tokenizers', import.meta.url)),
    PENSTOCK_SAFETY_WEIGHTS: fileURLToPath(new URL('../../../../models/safety/weights/linear-heads.bin', import.meta.url)),
  });
  functions.push(running);
  return running;
}

const LEASE_SECONDS = 5;
const headers = { 'content-type': 'application/json', authorization: `Bearer ${TEST_KEY}` };
const complete = (running: RunningFunction, maxTokens: number, leaseSeconds: number) => {
  const body = JSON.stringify({ model: MODEL, prompt: PROMPT, max_tokens: maxTokens, temperature: 0, stream: true });
  const event = functionUrlEvent('POST', '/v1/completions', { headers: { ...headers, 'x-penstock-lease': String(leaseSeconds) }, body });
  return running.api.invoke(event);
};
const call = async (running: RunningFunction, method: string, path: string, more: Record<string, string> = {}) =>
  await running.api.invoke(functionUrlEvent(method, path, { headers: { ...headers, ...more } })).end();
const idsIn = (text: string) => [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));

describe('a lease in the event function', () => {
  it('stops the endpoint when nobody renews it, and not while another function does', { timeout: 60_000 }, async () => {
    const [one, other] = await Promise.all([startFunction(), startFunction()]);
    const invocation = complete(one, 8_000, LEASE_SECONDS);
    await invocation.until((body) => idsIn(body).length > 0);
    const id = invocation.prelude.headers['x-penstock-generation'] ?? '';
    // The client is gone, and only says through other functions that it will come back.
    const asked = container.requests.at(-1);
    let isOpen = true;
    void asked?.abandoned.then(() => {
      isOpen = false;
    });
    for (const beganAt = Date.now(); Date.now() < beganAt + 1.5 * LEASE_SECONDS * 1000; ) {
      await sleep(300);
      expect((await call(other, 'POST', `/v1/generations/${id}/acknowledge`)).prelude.statusCode).toBe(200);
    }
    expect(isOpen).toBe(true);
    await asked?.abandoned;
    await invocation.end();
    const { body } = await call(other, 'GET', `/v1/generations/${id}/events`);
    expect(body).toContain('generation_cancelled');
    const usage = JSON.parse((await call(other, 'GET', '/v1/usage')).body) as { data: { generation_id: string; status: string }[] };
    expect(usage.data.filter((line) => line.generation_id === id)).toMatchObject([{ status: 'cancelled' }]);
  });

  it('lets another function go on with the answer of one that died', { timeout: 120_000 }, async () => {
    const length = 120;
    const expected = await readStream(
      await (await createGenerationGateway(new ToyEndpoint())).complete({ max_tokens: length, stream: true }),
    );
    const [one, other] = await Promise.all([startFunction(), startFunction()]);
    const invocation = complete(one, length, 120);
    await invocation.until((body) => idsIn(body).length > 20);
    const seen = invocation.body;
    const id = invocation.prelude.headers['x-penstock-generation'] ?? '';
    one.process.kill('SIGKILL');
    // The client comes back at once, and is answered as soon as it is known that the first one is dead.
    const whole = seen.slice(0, seen.lastIndexOf('\n\n') + 2);
    const last = idsIn(whole).at(-1) ?? 0;
    const { body } = await call(other, 'GET', `/v1/generations/${id}/events`, { 'last-event-id': String(last) });
    const comments = /^: keep-alive\n\n/gm;
    const { text, finishReason, error } = await readStream(new Response(whole + body.replaceAll(comments, '')));
    expect({ text, finishReason, error }).toEqual({ text: expected.text, finishReason: 'length', error: undefined });
    const ids = idsIn(whole + body);
    expect(ids).toEqual(ids.map((_, index) => index + 1));
    const usage = JSON.parse((await call(other, 'GET', '/v1/usage')).body) as { data: { generation_id: string }[] };
    expect(usage.data.filter((line) => line.generation_id === id)).toMatchObject([{ status: 'completed', completion_tokens: length }]);
  });
});
