import { createHash } from 'node:crypto';
import { createFolderTokenizerFiles } from '../../functions/drivers/folder-tokenizer-files.ts';
import { createMemoryTable } from '../../functions/drivers/memory-table.ts';
import { createRandomIds } from '../../functions/drivers/random-ids.ts';
import { loadSafetyClassifier } from '../../functions/drivers/safety-classifier-file.ts';
import { type App, createApp } from '../../functions/gateway/app.ts';
import { type GatewayConfig, loadConfig } from '../../functions/gateway/config.ts';
import { loadServedModels, type ServedModels } from '../../functions/gateway/served-models.ts';
import type { Table } from '../../functions/gateway/services/table.ts';
import type { Clock, ControlPlane, Endpoint, JobQueue, Services, Signer } from '../../functions/gateway/services.ts';
import type { Switches } from '../../functions/gateway/switches.ts';
import type { Continuation, ServedModel } from '../../models/catalog.ts';
import { TEST_KEY } from './gateway.ts';

export const MODEL = 'smollm2-135m-instruct';
/** Three tokens, whatever the tokenizer. */
export const PROMPT = [504, 3575, 282];

export interface TestGateway {
  readonly table: Table;
  readonly logged: { level: string; event: string; fields: object }[];
  call(
    method: string,
    path: string,
    options?: { body?: unknown; key?: string; headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<Response>;
  /** A completion of the prompt above. */
  complete(body?: object, options?: { key?: string; headers?: Record<string, string>; signal?: AbortSignal }): Promise<Response>;
  createKey(limits?: object, fields?: object): Promise<{ id: string; key: string }>;
  usage(): Promise<
    { generation_id: string; status: string; prompt_tokens: number; completion_tokens: number; attempts: number; api_key_id: string }[]
  >;
}

export interface TestGatewayOptions {
  readonly table?: Table;
  readonly clock?: Clock;
  readonly config?: Partial<GatewayConfig>;
  readonly alternatives?: ServedModel['alternatives'];
  /** What the model's endpoint promises of an answer that it goes on with; `identical`, as the toy model keeps it, when not given. */
  readonly continuation?: Continuation;
  /** How the model is deployed; as the catalog says when not given. */
  readonly deployment?: ServedModel['deployment'];
  /** Settles what dead processes held, as the server does. */
  readonly recovers?: boolean;
  /** Where background responses go, for a process that does not outlive its requests. */
  readonly jobs?: JobQueue;
  /** Tells what runs behind the endpoint. */
  readonly controlPlane?: ControlPlane;
  /** What is switched without a deployment. */
  readonly switches?: Switches;
  /** What signs client secrets, where their keys do not lie in the table. */
  readonly signer?: Signer;
}

/** Loaded once, however many gateways a test has. */
let tokenizers: Promise<ServedModels> | undefined;
let classifier: ReturnType<typeof loadSafetyClassifier> | undefined;

/** What one process has, over a table that others may share. */
export async function createGenerationServices(
  endpoint: Endpoint,
  options: TestGatewayOptions = {},
): Promise<{ services: Services; config: GatewayConfig; logged: TestGateway['logged'] }> {
  const clock = options.clock ?? { now: Date.now };
  const loaded = loadConfig({ PENSTOCK_API_KEY_HASHES: createHash('sha256').update(TEST_KEY).digest('hex') });
  const { alternatives = [], continuation = 'identical' } = options;
  const catalog = loaded.catalog.map((served) => ({
    ...served,
    alternatives,
    endpoint: { ...served.endpoint, continuation },
    ...(options.deployment === undefined ? {} : { deployment: options.deployment }),
  }));
  const config: GatewayConfig = {
    ...loaded,
    catalog,
    queue: { maxWaiting: 100, maxWaitMs: 20_000, probeMs: 20 },
    tokenLog: { keep: 'always', batchMs: 5, retentionSeconds: 3_600 },
    seesDisconnects: true,
    recovers: options.recovers ?? false,
    ...options.config,
  };
  tokenizers ??= loadServedModels(loaded.catalog, createFolderTokenizerFiles(config.tokenizersFolder));
  const models = new Map(
    [...(await tokenizers)].map(([id, model]) => [id, { ...model, served: catalog.find((one) => one.id === id) ?? model.served }]),
  );
  const table = options.table ?? createMemoryTable(clock);
  const logged: TestGateway['logged'] = [];
  const log = { write: (level: string, event: string, fields: object = {}) => logged.push({ level, event, fields }) };
  classifier ??= loadSafetyClassifier(config.safetyWeightsFile);
  const given = {
    ...(options.jobs === undefined ? {} : { jobs: options.jobs }),
    ...(options.controlPlane === undefined ? {} : { controlPlane: options.controlPlane }),
    ...(options.switches === undefined ? {} : { switches: options.switches }),
    ...(options.signer === undefined ? {} : { signer: options.signer }),
  };
  const services = { models, endpoint, table, classifier: await classifier, clock, ids: createRandomIds(), log, ...given };
  return { services, config, logged };
}

/** One gateway process over a table that others may share. */
export async function createGenerationApp(
  endpoint: Endpoint,
  options: TestGatewayOptions = {},
): Promise<{ app: App; table: Table; logged: TestGateway['logged'] }> {
  const { services, config, logged } = await createGenerationServices(endpoint, options);
  return { app: createApp(services, config), table: services.table, logged };
}

/** The same with ways to call it. */
export async function createGenerationGateway(endpoint: Endpoint, options: TestGatewayOptions = {}): Promise<TestGateway> {
  const { app, table, logged } = await createGenerationApp(endpoint, options);
  const call: TestGateway['call'] = async (method, path, { body, key = TEST_KEY, headers = {}, signal } = {}) =>
    app.request(path, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
  return {
    table,
    logged,
    call,
    complete: (body = {}, rest = {}) =>
      call('POST', '/v1/completions', { body: { model: MODEL, prompt: PROMPT, max_tokens: 12, ...body }, ...rest }),
    async createKey(limits = {}, fields = {}) {
      const response = await call('POST', '/v1/admin/api_keys', { body: { name: 'test', limits, ...fields } });
      return (await response.json()) as { id: string; key: string };
    },
    async usage() {
      const response = await call('GET', '/v1/usage');
      return ((await response.json()) as { data: Awaited<ReturnType<TestGateway['usage']>> }).data;
    },
  };
}

/** The text of a whole completion. */
export async function textOf(response: Response): Promise<string> {
  const body = (await response.json()) as { choices: { text: string }[] };
  return body.choices[0]?.text ?? '';
}

/** A stream's text, its finish reason, and its error code if it ended in one. */
export async function readStream(
  response: Response,
): Promise<{ text: string; finishReason: string | undefined; error: string | undefined; bytes: string }> {
  const bytes = await response.text();
  const values = bytes
    .split('\n')
    .filter((line) => line.startsWith('data: {'))
    .map((line) => JSON.parse(line.slice(6)) as { choices?: { text: string; finish_reason: string | null }[]; error?: { code: string } });
  return {
    bytes,
    text: values.map((value) => value.choices?.[0]?.text ?? '').join(''),
    finishReason: values.map((value) => value.choices?.[0]?.finish_reason).findLast((reason) => typeof reason === 'string') ?? undefined,
    error: values.find((value) => value.error !== undefined)?.error?.code,
  };
}
