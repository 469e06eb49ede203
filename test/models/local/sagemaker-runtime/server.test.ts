/** The runtime as the official SDK sees it, retries off. */
import { once } from 'node:events';
import {
  InvokeEndpointAsyncCommand,
  InvokeEndpointCommand,
  type InvokeEndpointCommandInput,
  InvokeEndpointWithResponseStreamCommand,
  type InvokeEndpointWithResponseStreamCommandInput,
  SageMakerRuntimeClient,
} from '@aws-sdk/client-sagemaker-runtime';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestRuntime, type TestRuntime } from '../../../support/sagemaker-runtime.ts';
import { replay, replayThen, type ScriptedContainer, startScriptedContainer } from '../../../support/scripted-container.ts';
import { loadRecording } from '../../../support/vllm-recordings.ts';

const recording = loadRecording('stream-emoji');
const bytes = Buffer.from(recording.chunks.join(''));

let container: ScriptedContainer;
let second: ScriptedContainer;
let runtime: TestRuntime;
let client: SageMakerRuntimeClient;

beforeAll(async () => {
  [container, second] = await Promise.all([startScriptedContainer(), startScriptedContainer()]);
  const containers = [container.url];
  runtime = await startTestRuntime({
    maxBodyBytes: 4096,
    objectsUrl: 'http://127.0.0.1:1', // what is answered into a bucket is for the test of its driver
    endpoints: {
      gpt: { containers },
      pair: { containers: [container.url, second.url] },
      lame: { containers: ['http://127.0.0.1:1', container.url] },
      gone: { containers: ['http://127.0.0.1:1'] },
      later: { containers, asynchronous: { outputPath: 's3://bucket/answers/', failurePath: 's3://bucket/failures/' } },
      narrow: { containers, maxConcurrentInvocations: 1 },
      split: { variants: { blue: { containers }, green: { containers: [second.url], weight: 0 } } },
      parts: {
        inferenceComponents: { base: { containers }, empty: { containers, copies: 0 }, lora: { baseInferenceComponentName: 'base' } },
      },
    },
  });
  client = new SageMakerRuntimeClient({ ...runtime.client, maxAttempts: 1 });
});
afterEach(async () => {
  await runtime.setFaults();
  for (const each of [container, second]) each.play(replay(recording));
});
afterAll(async () => {
  client.destroy();
  await Promise.all([runtime, container, second].map((each) => each[Symbol.asyncDispose]()));
});

const whole = (input: Partial<InvokeEndpointCommandInput> = {}) =>
  client.send(new InvokeEndpointCommand({ EndpointName: 'gpt', Body: Buffer.from('{}'), ContentType: 'application/json', ...input }));
const streamed = (input: Partial<InvokeEndpointWithResponseStreamCommandInput> = {}, abortSignal = new AbortController().signal) =>
  client.send(
    new InvokeEndpointWithResponseStreamCommand({
      EndpointName: 'gpt',
      Body: Buffer.from('{}'),
      ContentType: 'application/json',
      ...input,
    }),
    { abortSignal },
  );

async function partsOf(output: Awaited<ReturnType<typeof streamed>>): Promise<Uint8Array[]> {
  const parts: Uint8Array[] = [];
  for await (const { PayloadPart } of output.Body ?? []) if (PayloadPart?.Bytes !== undefined) parts.push(PayloadPart.Bytes);
  return parts;
}

describe('InvokeEndpoint', () => {
  it('gives the container’s whole answer', async () => {
    container.play(
      (response) =>
        void response
          .writeHead(200, { 'content-type': 'application/json', 'x-amzn-sagemaker-custom-attributes': 'trace=1' })
          .end('{"ok":1}'),
    );
    const output = await whole();
    expect(Buffer.from(output.Body ?? []).toString()).toBe('{"ok":1}');
    expect(output).toMatchObject({ ContentType: 'application/json', InvokedProductionVariant: 'AllTraffic', CustomAttributes: 'trace=1' });
  });

  it('passes on what SageMaker passes on, and nothing else', async () => {
    await whole({
      Accept: 'application/json',
      CustomAttributes: 'trace=2',
      InferenceId: 'inf-1',
      SessionId: 'session-1',
      PrefixAwareId: 'prefix-1',
      TargetModel: 'model.tar.gz',
      TargetVariant: 'AllTraffic',
    });
    const { headers } = container.requests.at(-1) ?? { headers: {} };
    expect(headers).toMatchObject({
      accept: 'application/json',
      'content-type': 'application/json',
      'x-amzn-sagemaker-custom-attributes': 'trace=2',
      'x-amzn-sagemaker-inference-id': 'inf-1',
      'x-amzn-sagemaker-session-id': 'session-1',
      'x-amzn-sagemaker-prefix-aware-id': 'prefix-1',
      'x-amzn-sagemaker-target-model': 'model.tar.gz',
      'x-amzn-sagemaker-target-variant': 'AllTraffic',
    });
    for (const name of ['authorization', 'x-amz-date', 'amz-sdk-request', 'user-agent', 'x-amzn-sagemaker-adapter-identifier'])
      expect(headers).not.toHaveProperty(name);
  });

  it('hands session ids back', async () => {
    const expires = 'a1; Expires=2030-01-01T00:00:00Z';
    container.play((response) => void response.writeHead(200, { 'x-amzn-sagemaker-new-session-id': expires }).end('{}'));
    expect(await whole({ SessionId: 'NEW_SESSION' })).toMatchObject({ NewSessionId: expires });
  });

  it('turns a container’s refusal into a ModelError', async () => {
    const refusal = loadRecording('error-context-length');
    container.play(replay(refusal));
    await expect(whole()).rejects.toMatchObject({
      name: 'ModelError',
      OriginalStatusCode: 400,
      OriginalMessage: refusal.chunks.join(''),
      LogStreamArn: expect.stringContaining('/aws/sagemaker/Endpoints/gpt'),
      $metadata: { httpStatusCode: 424 },
    });
  });

  it('asks again on a new connection when the kept one is dead, and only then', async () => {
    const used = new Set<unknown>();
    let isDead = false;
    container.play((response) => {
      if (isDead || used.has(response.socket)) return void response.socket?.resetAndDestroy();
      used.add(response.socket);
      response.writeHead(200).end('ok');
    });
    const before = container.requests.length;
    for (const _ of [1, 2, 3]) expect(Buffer.from((await whole()).Body).toString()).toBe('ok');
    // Which kept connections there are is the earlier tests' matter: each call is asked at most twice.
    expect(container.requests.length - before).toBeLessThanOrEqual(6);
    isDead = true;
    const asked = container.requests.length;
    await expect(whole()).rejects.toMatchObject({ name: 'ModelError' });
    expect(container.requests.length - asked).toBe(2);
  });

  it('refuses a body over the limit', async () => {
    await expect(whole({ Body: Buffer.alloc(5000, 'x') })).rejects.toMatchObject({
      name: 'ValidationError',
      message: expect.stringContaining('4096 bytes'),
    });
  });

  it('is not for asynchronous endpoints, nor InvokeEndpointAsync for others', async () => {
    await expect(whole({ EndpointName: 'later' })).rejects.toMatchObject({ name: 'ValidationError' });
    const ask = (EndpointName: string, InputLocation = 's3://bucket/key') =>
      client.send(new InvokeEndpointAsyncCommand({ EndpointName, InputLocation }));
    for (const call of [ask('gpt'), ask('nobody'), ask('later', 'https://bucket/key')]) {
      await expect(call).rejects.toMatchObject({ name: 'ValidationError' });
    }
  });
});

describe('InvokeEndpointWithResponseStream', () => {
  it('gives the container’s bytes in parts that end anywhere', async () => {
    const output = await streamed({ Accept: 'text/event-stream', CustomAttributes: 'x' });
    expect(output.ContentType).toBe('text/event-stream; charset=utf-8');
    const parts = await partsOf(output);
    expect(Buffer.concat(parts)).toEqual(bytes);
    expect(parts.some((part) => Buffer.from(part).toString('utf8').includes('\ufffd'))).toBe(true);
    expect(container.requests.at(-1)?.headers).toMatchObject({ accept: 'text/event-stream' });
  });

  it('gives whole chunks when hostile cuts are off', async () => {
    await using polite = await startTestRuntime({ hostileCuts: false, endpoints: { gpt: { containers: [container.url] } } });
    const other = new SageMakerRuntimeClient(polite.client);
    const output = await other.send(new InvokeEndpointWithResponseStreamCommand({ EndpointName: 'gpt', Body: Buffer.from('{}') }));
    const parts = await partsOf(output);
    other.destroy();
    expect(Buffer.concat(parts)).toEqual(bytes);
    expect(parts.every((part) => !Buffer.from(part).toString('utf8').includes('\ufffd'))).toBe(true);
  });

  it('ends with ModelStreamError when the container dies', async () => {
    container.play(replayThen(recording, 2, (response) => void response.destroy()));
    const output = await streamed();
    await expect(partsOf(output)).rejects.toMatchObject({ name: 'ModelStreamError', ErrorCode: 'StreamBroken' });
  });

  it('stops the container when the caller is gone', async () => {
    container.play(replayThen(recording, 2, (response) => once(response, 'close').then(() => undefined)));
    const gone = new AbortController();
    const output = await streamed({}, gone.signal);
    const parts = output.Body?.[Symbol.asyncIterator]();
    await parts?.next();
    gone.abort();
    await container.requests.at(-1)?.abandoned;
  });

  it('waits for a slow reader instead of piling up bytes', async () => {
    const megabyte = Buffer.alloc(1 << 20, 'x');
    let written = 0;
    container.play(async (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      for (let index = 0; index < 64 && !response.destroyed; index += 1) {
        written += megabyte.length;
        if (!response.write(megabyte)) await Promise.race([once(response, 'drain'), once(response, 'close')]);
      }
      response.end();
    });
    const gone = new AbortController();
    const output = await streamed({}, gone.signal);
    const parts = output.Body?.[Symbol.asyncIterator]();
    await parts?.next();
    await new Promise((resolve) => setTimeout(resolve, 300)); // as long as a reader may rest; nothing is expected of this time
    expect(written).toBeLessThan(64 * megabyte.length);
    gone.abort();
    await container.requests.at(-1)?.abandoned;
  });

  it.each<[Parameters<TestRuntime['setFaults']>[0], string, number, object]>([
    [{ kind: 'throttling' }, 'ThrottlingException', 429, {}],
    [{ kind: 'model-not-ready' }, 'ModelNotReadyException', 429, {}],
    [{ kind: 'service-unavailable' }, 'ServiceUnavailable', 503, {}],
    [{ kind: 'internal-failure' }, 'InternalFailure', 500, {}],
    [{ kind: 'internal-dependency' }, 'InternalDependencyException', 530, {}],
    [
      { kind: 'model-error', status: 507, message: 'no memory' },
      'ModelError',
      424,
      { OriginalStatusCode: 507, OriginalMessage: 'no memory' },
    ],
  ])('fails before the stream as the fault plan says: %o', async (fault, name, httpStatusCode, fields) => {
    await runtime.setFaults(fault);
    await expect(streamed()).rejects.toMatchObject({ name, $metadata: { httpStatusCode }, ...fields });
    await expect(whole()).rejects.toMatchObject({ name });
  });

  it.each([1, 3, 6])('breaks a stream after exactly %d events', async (afterEvents) => {
    await runtime.setFaults({ kind: 'cut', afterEvents });
    const parts = await partsOf(await streamed());
    const events = bytes.toString().split('\n\n').slice(0, afterEvents);
    expect(Buffer.concat(parts).toString()).toBe(`${events.join('\n\n')}\n\n`);
  });
});

describe('a time limit', () => {
  let hurried: TestRuntime;
  let impatient: SageMakerRuntimeClient;
  beforeAll(async () => {
    hurried = await startTestRuntime({ streamSeconds: 0.5, invocationSeconds: 0.1, endpoints: { gpt: { containers: [container.url] } } });
    impatient = new SageMakerRuntimeClient({ ...hurried.client, maxAttempts: 1 });
  });
  afterAll(async () => {
    impatient.destroy();
    await hurried[Symbol.asyncDispose]();
  });

  it('ends a whole answer with ModelError, and stops the container', async () => {
    container.play((response) => once(response, 'close').then(() => undefined));
    const call = impatient.send(new InvokeEndpointCommand({ EndpointName: 'gpt', Body: Buffer.from('{}') }));
    await expect(call).rejects.toMatchObject({ name: 'ModelError', OriginalStatusCode: 0, message: expect.stringContaining('timed out') });
    await container.requests.at(-1)?.abandoned;
  });

  it('ends a stream with ModelStreamError, and stops the container', async () => {
    container.play(replayThen(recording, 2, (response) => once(response, 'close').then(() => undefined)));
    const output = await impatient.send(new InvokeEndpointWithResponseStreamCommand({ EndpointName: 'gpt', Body: Buffer.from('{}') }));
    await expect(partsOf(output)).rejects.toMatchObject({ name: 'ModelStreamError', ErrorCode: 'ModelInvocationTimeExceeded' });
    await container.requests.at(-1)?.abandoned;
  });
});

describe('an endpoint', () => {
  const inputs = { nowhere: { EndpointName: 'nowhere' }, noComponent: { EndpointName: 'parts' } };

  it('is refused that does not exist', async () => {
    await expect(whole(inputs.nowhere)).rejects.toMatchObject({ name: 'ValidationError', message: expect.stringContaining('not found') });
  });

  it('of inference components wants one named', async () => {
    await expect(whole(inputs.noComponent)).rejects.toMatchObject({
      message: expect.stringContaining('Inference Component Name header is required'),
    });
    await expect(whole({ EndpointName: 'parts', InferenceComponentName: 'nobody' })).rejects.toMatchObject({ name: 'ValidationError' });
    await expect(whole({ EndpointName: 'gpt', InferenceComponentName: 'base' })).rejects.toMatchObject({ name: 'ValidationError' });
    await whole({ EndpointName: 'parts', InferenceComponentName: 'base' });
    expect(container.requests.at(-1)?.headers).toMatchObject({ 'x-amzn-sagemaker-inference-component': 'base' });
  });

  it('sends the calls of an adapter to its base, with the adapter’s name', async () => {
    await whole({ EndpointName: 'parts', InferenceComponentName: 'lora' });
    expect(container.requests.at(-1)?.headers).toMatchObject({ 'x-amzn-sagemaker-adapter-identifier': 'lora' });
  });

  it('without a copy has no capacity', async () => {
    await expect(whole({ EndpointName: 'parts', InferenceComponentName: 'empty' })).rejects.toMatchObject({
      name: 'ValidationError',
      message: expect.stringContaining('Inference Component has no capacity to process this request'),
    });
  });

  it('spreads calls over its containers, and keeps a session at one', async () => {
    const counts = () => [container.requests.length, second.requests.length];
    const [one = 0, two = 0] = counts();
    for (let call = 0; call < 4; call += 1) await whole({ EndpointName: 'pair' });
    expect(counts()).toEqual([one + 2, two + 2]);
    for (let call = 0; call < 4; call += 1) await whole({ EndpointName: 'pair', SessionId: 's1' });
    expect(
      counts()
        .map((count, index) => count - ([one, two][index] ?? 0) - 2)
        .sort(),
    ).toEqual([0, 4]);
  });

  it('passes over a container that cannot be reached', async () => {
    for (let call = 0; call < 2; call += 1) expect(await whole({ EndpointName: 'lame' })).toHaveProperty('Body');
    await expect(whole({ EndpointName: 'gone' })).rejects.toMatchObject({ name: 'ServiceUnavailable' });
  });

  it('draws a variant by weight, and takes the one that is named', async () => {
    expect(await whole({ EndpointName: 'split' })).toMatchObject({ InvokedProductionVariant: 'blue' });
    expect(await whole({ EndpointName: 'split', TargetVariant: 'green' })).toMatchObject({ InvokedProductionVariant: 'green' });
    await expect(whole({ EndpointName: 'split', TargetVariant: 'red' })).rejects.toMatchObject({ name: 'ValidationError' });
  });

  it('throttles more calls than it takes at once', async () => {
    const { promise: received, resolve: isReceived } = Promise.withResolvers<void>();
    const { promise: finish, resolve: letFinish } = Promise.withResolvers<void>();
    container.play(async (response) => {
      isReceived();
      await finish;
      response.end('{}');
    });
    const first = whole({ EndpointName: 'narrow' });
    await received;
    await expect(whole({ EndpointName: 'narrow' })).rejects.toMatchObject({ name: 'ThrottlingException' });
    letFinish();
    await first;
    await whole({ EndpointName: 'narrow' });
  });
});

describe('the fault plan', () => {
  const admin = (init?: RequestInit) => fetch(`${runtime.url}/_admin/faults`, init);

  it('is shown, set and cleared', async () => {
    await runtime.setFaults({ kind: 'throttling', count: 1 });
    await expect(whole()).rejects.toMatchObject({ name: 'ThrottlingException' });
    await whole();
    expect(await (await admin()).json()).toMatchObject({ faults: [{ kind: 'throttling', count: 1 }], taken: [1] });
    expect(await (await admin({ method: 'DELETE' })).json()).toMatchObject({ faults: [], taken: [] });
  });

  it('is refused with every problem named', async () => {
    const response = await admin({ method: 'PUT', body: '{"faults":[{"kind":"flood"},{"kind":"stall"}]}' });
    expect(response.status).toBe(400);
    expect(await response.text()).toMatch(/faults\.0\.kind.*faults\.1\.afterEvents/);
    expect((await admin({ method: 'PUT', body: '{' })).status).toBe(400);
    expect((await admin({ method: 'POST' })).status).toBe(405);
  });

  it('is out of reach for a page that points its own name here', async () => {
    const { request } = await import('node:http');
    const call = request(`${runtime.url}/_admin/faults`, { headers: { host: 'evil.example' } }).end();
    const [response] = await once(call, 'response');
    response.resume();
    expect(response.statusCode).toBe(403);
  });
});

it('answers /ping, and no path it does not know', async () => {
  expect((await fetch(`${runtime.url}/ping`)).status).toBe(200);
  expect((await fetch(`${runtime.url}/endpoints/gpt`)).status).toBe(403);
});
