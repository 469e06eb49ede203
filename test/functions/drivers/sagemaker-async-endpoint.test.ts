import { CreateBucketCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createS3Objects } from '../../../functions/drivers/s3-objects.ts';
import { createSageMakerAsyncEndpoint } from '../../../functions/drivers/sagemaker-async-endpoint.ts';
import type { Objects } from '../../../functions/gateway/services/objects.ts';
import type { EndpointRequest } from '../../../functions/gateway/services.ts';
import { testOfflineEndpoint } from '../../contracts/offline-endpoint.ts';
import { createMemoryObjects } from '../../support/memory-objects.ts';
import { type Moto, startMoto } from '../../support/moto.ts';
import { startTestRuntime, type TestRuntime } from '../../support/sagemaker-runtime.ts';
import { replay, type ScriptedContainer, startScriptedContainer } from '../../support/scripted-container.ts';
import { loadRecording } from '../../support/vllm-recordings.ts';

const BUCKET = 'answers';
const paths = { outputPath: `s3://${BUCKET}/gpt/answers/`, failurePath: `s3://${BUCKET}/gpt/failures/` };
const request: EndpointRequest = {
  target: { endpointName: 'gpt-async' },
  requestId: 'req_1',
  promptTokenIds: [504, 3575, 282],
  maxTokens: 12,
  stopTokenIds: [2],
  sampling: { temperature: 0, topP: 1 },
};

let moto: Moto;
let s3: S3Client;
beforeAll(async () => {
  moto = await startMoto();
  s3 = new S3Client({ ...moto.client, forcePathStyle: true });
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
}, 300_000);
afterAll(() => {
  s3.destroy();
  moto.stop();
});

const startRuntime = (containerUrl: string) =>
  startTestRuntime({ objectsUrl: moto.client.endpoint, endpoints: { 'gpt-async': { containers: [containerUrl], asynchronous: paths } } });

describe('asynchronous endpoint of SageMaker, with S3', () => {
  testOfflineEndpoint(async (containerUrl) => {
    const runtime = await startRuntime(containerUrl);
    const objects = createS3Objects(BUCKET, moto.client);
    return {
      target: { endpointName: 'gpt-async' },
      create: () => createSageMakerAsyncEndpoint(objects, BUCKET, { now: Date.now }, runtime.client),
      async kept() {
        const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: BUCKET }));
        return Contents.map(({ Key = '' }) => Key).sort();
      },
      [Symbol.asyncDispose]: async () => {
        objects.close();
        await runtime[Symbol.asyncDispose]();
      },
    };
  });
});

describe('asynchronous endpoint of SageMaker on a bad day', () => {
  let container: ScriptedContainer;
  let runtime: TestRuntime;
  beforeAll(async () => {
    container = await startScriptedContainer();
    container.play(replay(loadRecording('whole-length')));
    runtime = await startRuntime(container.url);
  });
  afterAll(async () => {
    await runtime[Symbol.asyncDispose]();
    await container[Symbol.asyncDispose]();
  });
  const create = (objects: Objects, now = Date.now, bucket = BUCKET) =>
    createSageMakerAsyncEndpoint(objects, bucket, { now }, { ...runtime.client, maxAttempts: 1 });

  it.each([
    ['throttling', 'throttled'],
    ['model-not-ready', 'not-ready'],
    ['service-unavailable', 'unreachable'],
  ] as const)('tells that it cannot be asked (%s), and asks the next time', async (kind, reason) => {
    const objects = createS3Objects(BUCKET, moto.client);
    const offline = create(objects);
    await runtime.setFaults({ kind });
    await expect(offline.fetch(`gen_${kind}`, request)).rejects.toMatchObject({ name: 'EndpointUnavailableError', reason });
    await runtime.setFaults();
    await expect
      .poll(async () => (await offline.fetch(`gen_${kind}`, request))?.at(-1), { interval: 10, timeout: 20_000 })
      .toMatchObject({ type: 'end' });
    objects.close();
  });

  it('waits while there is no copy', async () => {
    const objects = createS3Objects(BUCKET, moto.client);
    const offline = create(objects);
    await runtime.setFaults({ kind: 'zero-copies', loadSeconds: 0.2, count: 1 });
    expect(await offline.fetch('gen_cold', request)).toBeUndefined();
    await runtime.setFaults();
    await expect.poll(async () => (await offline.fetch('gen_cold', request)) !== undefined, { interval: 10, timeout: 20_000 }).toBe(true);
    objects.close();
  });

  it('does not wait for ever for what SageMaker has dropped', async () => {
    let at = Date.now();
    const offline = create(createMemoryObjects(), () => at); // the endpoint does not see them: it never finds the request
    expect(await offline.fetch('gen_dropped', request)).toBeUndefined();
    at += 7 * 3600 * 1000;
    expect(await offline.fetch('gen_dropped', request)).toBeUndefined();
    at += 1;
    await expect(offline.fetch('gen_dropped', request)).rejects.toMatchObject({ reason: 'stalled' });
  });

  it('does not wait for an endpoint that takes the call and says nothing', async () => {
    await runtime.setFaults({ kind: 'slow-start', seconds: 1, count: 1 });
    const options = { ...runtime.client, maxAttempts: 1, requestHandler: { socketTimeout: 50 } };
    const offline = createSageMakerAsyncEndpoint(createMemoryObjects(), BUCKET, { now: Date.now }, options);
    await expect(offline.fetch('gen_silent', request)).rejects.toMatchObject({ name: 'EndpointUnavailableError', reason: 'unreachable' });
    await runtime.setFaults();
  });

  it('says so when the endpoint answers into another bucket', async () => {
    const offline = create(createMemoryObjects(), Date.now, 'elsewhere');
    await expect(offline.fetch('gen_1', request)).rejects.toMatchObject({ reason: 'unreachable' });
  });
});
