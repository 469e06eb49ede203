import { type ChildProcess, spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { App, type Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleFunction, FUNCTIONS } from '../../functions/bundle.ts';
import { createAwsJsonClient } from '../../functions/drivers/aws-json-client.ts';
import { buildApp } from '../../infra/build-app.ts';
import { loadSettings } from '../../infra/config.ts';
import { projectPath } from '../../infra/project-path.ts';
import { catalog } from '../../models/catalog.ts';
import { freePort } from '../../models/local/free-port.ts';
import { BUCKET_KEY, type CallRecorder, recordAwsCalls } from '../support/aws-calls.ts';
import { comparePolicy, type PolicyStatement } from '../support/iam-policy.ts';
import { functionUrlEvent } from '../support/lambda-runtime-api.ts';
import { type Moto, startMoto } from '../support/moto.ts';
import { type RunningFunction, runLambdaFunction } from '../support/run-lambda-function.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION, type TestRuntime } from '../support/sagemaker-runtime.ts';
import { replay, type ScriptedContainer, startScriptedContainer } from '../support/scripted-container.ts';
import { createTestQueue, type TestQueue } from '../support/sqs.ts';
import { startTestCdn } from '../support/test-cdn.ts';
import { loadRecording, recordedChoices } from '../support/vllm-recordings.ts';

/**
 * The calls that the deployed bundles make, against the policies that are deployed with them. DynamoDB, SQS, S3 and Secrets Manager are moto's; what
 * SageMaker answers is recorded. The environment is the template's own.
 */
const KEY = 'sk-of-the-first-api-key';
const ORIGIN_SECRET = 'what-the-cdn-adds';
const MODEL = 'smollm2-135m-instruct';
const BUCKET = 'penstock-answers';
/** Ours, each with an asynchronous endpoint as well. */
const models = catalog.map((model) => ({
  ...model,
  ...(model.deployment === undefined ? {} : { deployment: { ...model.deployment, asynchronous: { maxInstances: 1 } } }),
}));

let folder: string;
let moto: Moto;
let runtime: TestRuntime;
let container: ScriptedContainer;
let queue: TestQueue;
let signingKeyArn: string;
const functions: RunningFunction[] = [];
let webProcess: ChildProcess | undefined;
/** Calls the gateway that is tried just now. */
let send: (
  method: string,
  path: string,
  init: { headers: Record<string, string>; body?: string },
) => Promise<{ status: number; body: string }>;
let gateway: Deployed;
let web: Deployed;
let jobs: RunningFunction;
let jobsRole: Deployed;
let canaryRole: Deployed;
let canarySecretArn: string;

/** The calls that a function of the stacks makes, and those that its role allows. */
interface Deployed {
  readonly recorder: CallRecorder;
  readonly statements: readonly PolicyStatement[];
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-least-privilege-'));
  for (const name of ['event-function', 'web-function', 'jobs-function', 'canary-function'] as const)
    await bundleFunction(name, join(folder, name));
  await mkdir(join(folder, 'encodings-layer'));
  const [app, webApp] = [await build('event'), await build('web')];
  [moto, container] = await Promise.all([startMoto(), startScriptedContainer()]);
  await moto.createTable('penstock');
  queue = await createTestQueue(moto.client, 'penstock-jobs');
  const secrets = new SecretsManagerClient(moto.client);
  await secrets.send(new CreateSecretCommand({ Name: 'penstock/origin', SecretString: ORIGIN_SECRET }));
  await secrets.send(new CreateSecretCommand({ Name: 'penstock/first-api-key', SecretString: KEY }));
  const { ARN = '' } = await secrets.send(new CreateSecretCommand({ Name: 'canary', SecretString: KEY }));
  canarySecretArn = ARN;
  const kms = createAwsJsonClient({ name: 'kms', target: 'TrentService', version: '1.1' }, moto.client);
  const { KeyMetadata } = await kms.call<{ KeyMetadata: { Arn: string } }>('CreateKey', {
    KeySpec: 'ECC_NIST_P256',
    KeyUsage: 'SIGN_VERIFY',
  });
  signingKeyArn = KeyMetadata.Arn;
  await new S3Client({ ...moto.client, forcePathStyle: true }).send(new CreateBucketCommand({ Bucket: BUCKET }));
  await writeFile(join(folder, 'catalog.json'), JSON.stringify(models));
  const answers = { outputPath: `s3://${BUCKET}/answers/`, failurePath: `s3://${BUCKET}/failures/` };
  runtime = await startTestRuntime({
    objectsUrl: String(moto.client.endpoint),
    endpoints: {
      'penstock-gpt': { inferenceComponents: { [MODEL]: { containers: [container.url] } } },
      [`${MODEL}-async`]: { containers: [container.url], asynchronous: answers },
    },
  });
  const [events, jobsOnQueue] = [await deploy(app, 'gateway'), await deploy(app, 'jobs')];
  const running = await runLambdaFunction(join(folder, 'event-function'), events.environment);
  jobs = await runLambdaFunction(join(folder, 'jobs-function'), jobsOnQueue.environment);
  functions.push(running, jobs);
  [gateway, jobsRole] = [events, jobsOnQueue];
  send = async (method, path, init) => {
    const { prelude, body } = await running.api.invoke(functionUrlEvent(method, path, init)).end();
    return { status: prelude.statusCode, body };
  };
  await callEverything();
  await makeBackgroundResponses();

  const deployed = await deploy(webApp, 'gateway');
  web = deployed;
  const url = await startWebFunction(deployed.environment);
  send = async (method, path, init) => {
    const response = await fetch(`${url}${path}`, { method, ...init });
    return { status: response.status, body: await response.text() };
  };
  await callEverything();
  await makeBackgroundResponses();

  await using cdn = await startTestCdn(url, { 'x-penstock-origin': ORIGIN_SECRET });
  const canary = await deploy(app, 'canary');
  canaryRole = canary;
  const bird = await runLambdaFunction(join(folder, 'canary-function'), { ...canary.environment, CANARY_BASE_URL: `${cdn.url}/v1` });
  functions.push(bird);
  container.play(replay(loadRecording('stream-length')));
  expect((await bird.api.invoke({}).end()).result).toEqual({ failed: [] });
});

afterAll(async () => {
  for (const running of functions) await running.stop();
  webProcess?.kill('SIGKILL');
  moto?.stop();
  for (const each of [gateway?.recorder, web?.recorder, jobsRole?.recorder, canaryRole?.recorder, runtime, container])
    await each?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function build(kind: 'event' | 'web'): Promise<App> {
  const { default: file } = await import(projectPath('cdk.json'), { with: { type: 'json' } });
  const penstock = { ...file.context.penstock, profile: 'production', unpinnedImages: true, regions: [TEST_REGION], gateway: kind };
  const app = new App({ context: { ...file.context, penstock } });
  buildApp(
    app,
    loadSettings((key) => app.node.tryGetContext(key)),
    models,
    folder,
  );
  return app;
}

const LAMBDAS_ACTIONS = /^(logs:|sqs:(?!SendMessage))/;

/** What a stack's role allows, and the environment that its template gives its function: where calls are recorded. */
async function deploy(app: App, stack: string): Promise<Deployed & { readonly environment: Record<string, string> }> {
  const template = Template.fromStack(app.node.findChild(`penstock-${stack}-${TEST_REGION}`) as Stack); // the only child of this name
  const [policy] = Object.values(template.findResources('AWS::IAM::Policy'));
  const all: PolicyStatement[] = withArns(policy?.['Properties']?.PolicyDocument.Statement ?? []);
  // With this role Lambda itself writes the function's log, and takes messages from its queue.
  const statements = all.flatMap((statement) => {
    const own = [statement.Action].flat().filter((action) => !LAMBDAS_ACTIONS.test(action));
    return own.length === 0 ? [] : [{ ...statement, Action: own }];
  });
  const variables: Record<string, unknown> = withArns(variablesOf(template));
  const recorder = await recordAwsCalls({ sagemaker: runtime.url, '*': String(moto.client.endpoint) });
  const environment = {
    ...Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, textOf(value)])),
    AWS_REGION: TEST_REGION,
    AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
    AWS_ENDPOINT_URL: recorder.url,
    PENSTOCK_CATALOG: join(folder, 'catalog.json'),
    PENSTOCK_TOKENIZERS: projectPath('models/tokenizers'),
    PENSTOCK_SAFETY_WEIGHTS: projectPath('models/safety/weights/linear-heads.bin'),
  };
  return { recorder, statements, environment };
}

/** As Lambda starts it. @returns its address. */
async function startWebFunction(environment: Record<string, string>): Promise<string> {
  const address = `127.0.0.1:${await freePort()}`;
  const file = join(folder, 'web-function', FUNCTIONS['web-function'].file);
  const started = spawn(process.execPath, [file], {
    env: { ...environment, AWS_LAMBDA_HTTP_ENDPOINT: address },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  webProcess = started;
  for await (const line of createInterface(started.stdout)) if (line.includes('"listening"')) return `http://${address}`;
  throw new Error('the web function did not start');
}

/** Of the one function, of either kind, that a stack's template is about. */
function variablesOf(template: Template): Record<string, unknown> {
  const [event] = Object.values(template.findResources('AWS::Lambda::Function', { Properties: { Environment: Match.anyValue() } }));
  const [web] = Object.values(template.findResources('AWS::Lambda::WebFunctionRevision'));
  return event?.['Properties'].Environment.Variables ?? web?.['Properties'].ServiceConfig.EnvironmentVariables;
}

/** The template's own key and secret are in AWS alone: moto's stand in for them. */
function withArns<Part extends object>(part: Part): Part {
  return JSON.parse(
    JSON.stringify(part)
      .replaceAll(/\{"Fn::GetAtt":\["SigningKey\w*","Arn"\]\}/g, JSON.stringify(signingKeyArn))
      .replaceAll(/\{"Ref":"ApiKey\w*"\}/g, JSON.stringify(canarySecretArn))
      .replaceAll(/\{"Fn::GetAtt":\["Queue\w*","Arn"\]\}/g, '"arn:aws:sqs:us-east-1:111111111111:penstock-jobs"')
      .replaceAll(/\{"Ref":"Queue\w*"\}/g, JSON.stringify(queue.url))
      // Of other stacks: the bucket of asynchronous answers, and its key.
      .replaceAll(/\{"Fn::GetStackOutput":\{[^{}]*Results\w*Arn\w*"\}\}/g, JSON.stringify(`arn:aws:s3:::${BUCKET}`))
      .replaceAll(/\{"Fn::GetStackOutput":\{[^{}]*Results\w*"\}\}/g, JSON.stringify(BUCKET))
      .replaceAll(/\{"Fn::GetStackOutput":\{[^{}]*Key\w*Arn\w*"\}\}/g, JSON.stringify(`arn:aws:kms:us-east-1:111111111111:${BUCKET_KEY}`)),
  );
}

/** Texts of the template refer to the partition and the domain of AWS alone; the account is moto's. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  const { 'Fn::Join': join } = value as { 'Fn::Join'?: [string, unknown[]] }; // CloudFormation's own form
  if (join === undefined) return ''; // another stack's output, which whoever starts the function gives
  const [, parts] = join;
  const known = (part: unknown) => (JSON.stringify(part).includes('URLSuffix') ? 'amazonaws.com' : 'aws');
  return parts
    .map((part) => (typeof part === 'string' ? part : known(part)))
    .join('')
    .replace('111111111111', '123456789012');
}

async function call(method: string, path: string, body?: object, headers: Record<string, string> = {}, status = 200): Promise<string> {
  const answer = await send(method, path, {
    headers: { authorization: `Bearer ${KEY}`, 'x-penstock-origin': ORIGIN_SECRET, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (Math.floor(answer.status / 100) !== Math.floor(status / 100)) throw new Error(`${method} ${path}: ${answer.body.slice(0, 300)}`);
  return answer.body;
}

/** Each path that reads or writes something. */
async function callEverything(): Promise<void> {
  container.play(replay(loadRecording('stream-length')));
  const prompt = { model: MODEL, prompt: 'The capital of France is', max_tokens: 8, temperature: 0 };
  await call('POST', '/v1/completions', { ...prompt, stream: true }, { 'idempotency-key': 'one' });
  await call('POST', '/v1/completions', prompt);
  const response = JSON.parse(await call('POST', '/v1/responses', { model: MODEL, input: 'Hi', max_output_tokens: 16, store: true }));
  await call('GET', `/v1/responses/${response.id}`);
  await call('DELETE', `/v1/responses/${response.id}`);
  const conversation = JSON.parse(await call('POST', '/v1/conversations', { items: [{ type: 'message', role: 'user', content: 'Hi' }] }));
  await call('GET', `/v1/conversations/${conversation.id}/items`);
  await call('DELETE', `/v1/conversations/${conversation.id}`);
  const created = JSON.parse(await call('POST', '/v1/admin/api_keys', { name: 'app' }));
  await call('GET', '/v1/admin/api_keys');
  await call('POST', `/v1/admin/api_keys/${created.id}/rotate`, {});
  await call('DELETE', `/v1/admin/api_keys/${created.id}`);
  await call('GET', '/v1/usage');
  expect(await call('GET', '/v1/admin/endpoints')).toContain('InService');
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  await call('POST', '/v1/client_secrets', { device_key: publicKey.export({ format: 'jwk' }) });
  // Permission is needed before the container decides: a refusal shows the call as well as an answer does.
  container.play(replay(loadRecording('error-validation')));
  await call('POST', '/v1/classify', { model: MODEL, input: 'Hi', labels: ['greeting', 'farewell'] }, {}, 400);
}

/** Asked for in one function, made in another one, read in the first. */
async function makeInBackground(
  headers: Record<string, string> = {},
): Promise<{ status: string; output: { content: { text: string }[] }[] }> {
  const body = { model: MODEL, input: 'Hi', max_output_tokens: 16, background: true };
  const queued = JSON.parse(await call('POST', '/v1/responses', body, headers));
  expect(queued.status).toBe('queued');
  const event = await queue.receiveEvent();
  expect(event.Records.length).toBeGreaterThan(0); // with later looks for what is made already, which change nothing
  expect((await jobs.api.invoke(event).end()).result).toEqual({ batchItemFailures: [] });
  return JSON.parse(await call('GET', `/v1/responses/${queued.id}`));
}

async function makeBackgroundResponses(): Promise<void> {
  const recording = loadRecording('stream-length');
  container.play(replay(recording));
  const made = await makeInBackground();
  expect(made.status).toBe('incomplete'); // the recording ends at its length
  const text = recordedChoices(recording).map((choice) => choice.text);
  expect(made.output[0]?.content[0]?.text).toBe(text.join(''));
  // One that has time: asked for by the first message, found by a later one.
  container.play(replay(loadRecording('whole-length')));
  const flex = { model: MODEL, input: 'Hi', max_output_tokens: 16, background: true, service_tier: 'flex' };
  const { id } = JSON.parse(await call('POST', '/v1/responses', flex));
  const event = await queue.receiveEvent();
  for (let status = 'queued'; status !== 'incomplete'; ) {
    expect(status).toBe('queued');
    expect((await jobs.api.invoke(event).end()).result).toEqual({ batchItemFailures: [] });
    status = JSON.parse(await call('GET', `/v1/responses/${id}`)).status;
  }
  // One that fails lets go of its key.
  container.play(replay(loadRecording('error-validation')));
  expect((await makeInBackground({ 'idempotency-key': 'two' })).status).toBe('failed');
}

describe.each([
  ['gateway', () => gateway],
  ['gateway as a web function', () => web],
  ['jobs', () => jobsRole],
  ['canary', () => canaryRole],
])('the role of the %s', (_, deployed) => {
  it('allows each call that the function makes, and nothing else', () => {
    const { recorder, statements } = deployed();
    expect(comparePolicy(recorder.calls, statements)).toEqual({ missing: [], unused: [] });
  });

  it('is found out when a permission is taken away', () => {
    const { recorder, statements } = deployed();
    for (const [index, { Action }] of statements.entries()) {
      for (const action of [Action].flat()) {
        const fewer = statements.with(index, {
          ...(statements[index] as PolicyStatement),
          Action: [Action].flat().filter((each) => each !== action),
        });
        expect(comparePolicy(recorder.calls, fewer).missing.join(' ')).toContain(action);
      }
    }
  });

  it('is found out when anything is added', () => {
    const { recorder, statements } = deployed();
    for (const [at, statement] of statements.entries()) {
      const unusedWith = (change: Partial<PolicyStatement>) =>
        comparePolicy(recorder.calls, statements.with(at, { ...statement, ...change })).unused;
      const [service] = String([statement.Action].flat()[0]).split(':');
      const more = `${service}:DeleteEverything`;
      expect(unusedWith({ Action: [statement.Action, more].flat() })).toEqual([more]);
      for (const wildcard of [`${service}:*`, '*']) expect(unusedWith({ Action: wildcard })).toEqual([wildcard]);
      expect(unusedWith({ Resource: '*' })).toEqual(['*']);
      const other = `arn:aws:${service}:us-east-1:111111111111:any/other`;
      expect(unusedWith({ Resource: [statement.Resource, other].flat() })).toEqual(['any/other']);
    }
  });
});
