import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { CreateSecretCommand, PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleFunction } from '../../../functions/bundle.ts';
import { type Moto, startMoto } from '../../support/moto.ts';
import { type RunningFunction, runLambdaFunction } from '../../support/run-lambda-function.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION, type TestRuntime } from '../../support/sagemaker-runtime.ts';
import { replay, replayThen, type ScriptedContainer, startScriptedContainer } from '../../support/scripted-container.ts';
import { loadRecording, recordedUsage } from '../../support/vllm-recordings.ts';

/**
 * The bundle that is deployed, in Lambda's wire protocol, against a gateway of its own process (`npm run gateway`), the real SDK, our SageMaker
 * runtime and a recorded vLLM; its secret is moto's.
 */
const MODEL = 'smollm2-135m-instruct';
const ADMIN_KEY = 'sk-of-the-administrator';
const recording = loadRecording('stream-length');

/** The document that CloudWatch takes metrics from: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html */
const isMetricDocument = new Ajv().compile({
  type: 'object',
  required: ['_aws'],
  properties: {
    _aws: {
      type: 'object',
      required: ['Timestamp', 'CloudWatchMetrics'],
      additionalProperties: false,
      properties: {
        Timestamp: { type: 'integer', minimum: 0 },
        CloudWatchMetrics: {
          type: 'array',
          items: {
            type: 'object',
            required: ['Namespace', 'Dimensions', 'Metrics'],
            additionalProperties: false,
            properties: {
              Namespace: { type: 'string', minLength: 1, maxLength: 1024 },
              Dimensions: { type: 'array', minItems: 1, items: { type: 'array', maxItems: 30, items: { type: 'string', minLength: 1 } } },
              Metrics: {
                type: 'array',
                maxItems: 100,
                items: {
                  type: 'object',
                  required: ['Name'],
                  additionalProperties: false,
                  properties: {
                    Name: { type: 'string', minLength: 1, maxLength: 1024 },
                    Unit: { enum: ['Milliseconds', 'Count', 'Count/Second'] },
                    StorageResolution: { enum: [1, 60] },
                  },
                },
              },
            },
          },
        },
      },
    },
  },
});

interface MetricLine {
  readonly _aws: { readonly CloudWatchMetrics: readonly [{ readonly Dimensions: string[][]; readonly Metrics: { Name: string }[] }] };
  readonly Model: string;
  readonly [name: string]: unknown;
}

let folder: string;
let moto: Moto;
let container: ScriptedContainer;
let runtime: TestRuntime;
let gateway: ChildProcess;
let canary: RunningFunction;
let secrets: SecretsManagerClient;
let secretArn: string;
let key: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-canary-'));
  await bundleFunction('canary-function', folder);
  [moto, container] = await Promise.all([startMoto(), startScriptedContainer()]);
  runtime = await startTestRuntime({
    endpoints: { 'penstock-gpt': { inferenceComponents: { [MODEL]: { containers: [container.url] } } } },
  });
  const url = await startGateway();
  key = await createKey(url);
  secrets = new SecretsManagerClient(moto.client);
  const { ARN = '' } = await secrets.send(new CreateSecretCommand({ Name: 'penstock/canary-api-key', SecretString: key }));
  secretArn = ARN;
  canary = await runLambdaFunction(folder, {
    AWS_REGION: moto.client.region,
    AWS_ACCESS_KEY_ID: moto.client.credentials.accessKeyId,
    AWS_SECRET_ACCESS_KEY: moto.client.credentials.secretAccessKey,
    AWS_ENDPOINT_URL: moto.client.endpoint,
    CANARY_BASE_URL: url,
    CANARY_MODELS: JSON.stringify([MODEL]),
    CANARY_API_KEY_ARN: secretArn,
    CANARY_NAMESPACE: 'Penstock/test',
  });
}, 300_000);

afterAll(async () => {
  await canary?.stop();
  gateway?.kill('SIGKILL');
  moto?.stop();
  await runtime?.[Symbol.asyncDispose]();
  await container?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** `npm run gateway` on a port of its own. @returns its address with /v1. */
async function startGateway(): Promise<string> {
  gateway = spawn(process.execPath, [fileURLToPath(new URL('../../../functions/gateway/local.ts', import.meta.url))], {
    env: {
      AWS_REGION: TEST_REGION,
      AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
      AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: runtime.url,
      PENSTOCK_API_KEY: ADMIN_KEY,
      PENSTOCK_DATA: 'memory',
      PORT: '0',
      MAX_WAITING: '0', // what fails is told at once
      MAX_RETRIES: '0',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (gateway.stderr === null) throw new Error('the gateway has no log');
  for await (const line of createInterface(gateway.stderr)) {
    if (line.includes('"listening"')) return `http://127.0.0.1:${JSON.parse(line).port}/v1`;
  }
  throw new Error('the gateway did not start');
}

/** As docs/operations.md says: may generate, and nothing else. */
async function createKey(url: string): Promise<string> {
  const response = await fetch(`${url}/admin/api_keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'canary', scopes: ['generate'], models: [MODEL] }),
  });
  const created = (await response.json()) as { key: string }; // docs/generation.md
  return created.key;
}

/** One run of the schedule. @returns what the function returned, and the line that it wrote. */
async function run(): Promise<{ result: unknown; line: MetricLine }> {
  const before = canary.log().length;
  // What EventBridge sends for a schedule: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
  const event = { version: '0', 'detail-type': 'Scheduled Event', source: 'aws.events', region: TEST_REGION, resources: [], detail: {} };
  const { result, failure } = await canary.api.invoke(event).end();
  expect(failure).toBeUndefined();
  while (!canary.log().slice(before).includes('\n') && canary.process.stdout !== null) await once(canary.process.stdout, 'data');
  const lines = canary.log().slice(before).trim().split('\n');
  expect(lines).toHaveLength(1);
  const line = JSON.parse(lines[0] ?? '');
  expect(isMetricDocument(line), JSON.stringify(isMetricDocument.errors)).toBe(true);
  return { result, line };
}

/** Each metric that the line names, with its value, as CloudWatch looks it up. */
const metricsIn = (line: MetricLine) => Object.fromEntries(line._aws.CloudWatchMetrics[0].Metrics.map(({ Name }) => [Name, line[Name]]));

describe('the canary in Lambda', () => {
  it('makes a generation and publishes what it saw', async () => {
    container.play(replay(recording));
    const { result, line } = await run();
    expect(result).toEqual({ failed: [] });
    expect(line).toMatchObject({
      event: 'canary',
      level: 'info',
      Model: MODEL,
      completionTokens: recordedUsage(recording).completion_tokens,
    });
    expect(line._aws.CloudWatchMetrics[0]).toMatchObject({ Namespace: 'Penstock/test', Dimensions: [['Model']] });
    const metrics = metricsIn(line);
    expect(metrics['CanarySuccess']).toBe(1);
    expect(metrics['CanaryTimeToFirstToken']).toBeGreaterThan(0);
    // There is no speed when a busy machine reads all of the answer at once: `probe-generation.test.ts` holds it against a clock of its own.
    for (const value of Object.values(metrics)) expect(value).toBeGreaterThan(0);
  });

  it('reached the model: the container was asked for a few tokens at a temperature', async () => {
    container.play(replay(recording));
    const before = container.requests.length;
    await run();
    expect(container.requests).toHaveLength(before + 1);
    expect(JSON.parse(container.requests.at(-1)?.body ?? '')).toMatchObject({ temperature: 1, max_tokens: 24, stream: true });
  });

  it('tells an endpoint that has no capacity, by the code of the gateway', async () => {
    await runtime.setFaults({ kind: 'throttling' });
    const { result, line } = await run();
    await runtime.setFaults();
    expect(result).toEqual({ failed: [MODEL] });
    expect(metricsIn(line)).toEqual({ CanarySuccess: 0 });
    expect(line).toMatchObject({ level: 'error', failure: 'refused', detail: '429 endpoint_overloaded' });
    expect(line['requestId']).toMatch(/^req_/);
  });

  it('tells a stream that breaks', async () => {
    container.play(replayThen(recording, 3, (response) => void response.destroy()));
    const { line } = await run();
    expect(metricsIn(line)).toEqual({ CanarySuccess: 0 });
    expect(line).toMatchObject({ failure: 'error-event' });
  });

  it('takes a key that was changed at its next run, and none that is none', async () => {
    container.play(replay(recording));
    const put = (SecretString: string) => secrets.send(new PutSecretValueCommand({ SecretId: secretArn, SecretString }));
    await put('sk-of-nobody');
    expect((await run()).line).toMatchObject({ failure: 'refused', detail: '401 invalid_api_key' });
    await put('no key at all');
    expect((await run()).line).toMatchObject({ failure: 'no-key' });
    await put(`${key}\n`); // as a shell writes it
    expect((await run()).line).toMatchObject({ CanarySuccess: 1 });
  });

  it('writes neither its key nor what was said into its log', () => {
    for (const secret of [key, 'sk-of-nobody', 'Count from']) expect(canary.log()).not.toContain(secret);
  });
});
