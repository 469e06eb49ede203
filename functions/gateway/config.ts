import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { isLoopback } from '../../layers/network/is-loopback.ts';
import { type GuardFormat, guardFormats, parseSafetyPolicy } from '../../layers/safety/index.ts';
import {
  type AnswerPipeline,
  answerPipelines,
  catalog,
  type EmbeddingModel,
  embeddingModels,
  parseAnswerPipelines,
  parseCatalog,
  parseEmbeddingModels,
  type ServedModel,
} from '../../models/catalog.ts';
import type { OidcSettings } from './client-tokens/oidc-users.ts';
import { type Environment, EnvironmentReader } from './environment.ts';
import { RUNNER_LEASE_MS } from './generation/runner.ts';
import { withOtherRegions } from './routing/other-regions.ts';
import type { RetryBudgetLimits } from './routing/retry-budget.ts';

/** What every entry reads. */
export interface GatewayConfig {
  readonly catalog: readonly ServedModel[];
  readonly embeddingModels: readonly EmbeddingModel[];
  readonly answerPipelines: readonly AnswerPipeline[];
  /** Holds one folder for each tokenizer that the catalog names. */
  readonly tokenizersFolder: string;
  /** Holds the compiled encodings that `/tokenize` takes for a model. */
  readonly encodingsFolder: string;
  /** SHA-256 (hex) of each API key that is admitted. */
  readonly apiKeyHashes: readonly string[];
  /** SHA-256 (hex) of the secret that the CDN adds; `undefined` admits callers from everywhere. */
  readonly originSecretHash: string | undefined;
  /** Holds the policy of those who have none of their own; without one their prompts and answers pass. It is read again when it changes. */
  readonly safetyPolicyFile: string | undefined;
  /** A model of the catalog that judges what policies send it, and how it is asked. */
  readonly guard: { readonly modelId: string; readonly format: GuardFormat } | undefined;
  /** An embedding model of the catalog that is all-MiniLM-L6-v2, and the heads over it. */
  readonly minilm: { readonly modelId: string; readonly heads: string } | undefined;
  /** The classifier's weights. */
  readonly safetyWeightsFile: string;
  readonly maxBodyBytes: number;
  /** What clients see before the path, where a CDN or proxy stands before the gateway. */
  readonly publicOrigin: string | undefined;
  /** A parameter of AWS Systems Manager, or a file, with what is switched without a deployment; `undefined` for nothing. */
  readonly switches: { readonly kind: 'parameter' | 'file'; readonly name: string } | undefined;
  /** A key in KMS that signs client secrets; `undefined` for keys that lie in the table. */
  readonly signingKeyArn: string | undefined;
  /** An identity provider whose users may call; `undefined` for none. */
  readonly oidc: OidcSettings | undefined;
  /** Where rows are kept: a DynamoDB table, a SQLite file, or this process's memory. */
  readonly store:
    | { readonly kind: 'dynamodb'; readonly tableName: string }
    | { readonly kind: 'sqlite'; readonly file: string }
    | { readonly kind: 'memory' };
  /** Where background responses are handed over; `undefined` where the process outlives its answers, or nobody would make them. */
  readonly jobsQueueUrl: string | undefined;
  /** Places in line while a model starts. */
  readonly queue: { readonly maxWaiting: number; readonly maxWaitMs: number; readonly probeMs: number };
  readonly retry: {
    readonly maxFailures: number;
    readonly canWait: boolean;
    /** After so long without a first token another target is asked too; 0 for never. */
    readonly hedgeAfterMs: number;
    /** Over all requests of a model. */
    readonly budget: RetryBudgetLimits;
  };
  /** How long the answer to a deterministic request is given again to the same key; 0 for never. */
  readonly cacheSeconds: number;
  /** How long a gateway process may be silent until others go on with what it made, or settle what it held. */
  readonly runnerLeaseMs: number;
  /** Looks for such work by itself: never so in a function, which stands still between requests. */
  readonly recovers: boolean;
  readonly tokenLog: {
    /** Keep every answer, only those that ask for it (a lease, an Idempotency-Key), or none. */
    readonly keep: 'always' | 'asked' | 'never';
    readonly batchMs: number;
    readonly retentionSeconds: number;
  };
  /** Comments in a silent stream, so that nobody between takes it for dead. */
  readonly keepAliveMs: number;
  /** Whether a client that leaves is noticed: never so by an event function in Lambda. */
  readonly seesDisconnects: boolean;
}

/** What the server entry reads on top. */
export interface ServerConfig extends GatewayConfig {
  readonly host: string;
  readonly port: number;
  /** The development key, when no key was set and only this machine can call. */
  readonly developmentKey: string | undefined;
  /** How long running streams may go on after a signal to stop. */
  readonly drainSeconds: number;
}

const DEVELOPMENT_KEY = 'sk-local';
const MIB = 1024 * 1024;

/**
 * Reads the environment, once, at cold start.
 * @throws one error that lists every problem.
 */
export function loadConfig(env: Environment = process.env): GatewayConfig {
  const read = new EnvironmentReader(env);
  const config = { ...readGateway(read, LAMBDA_DEFAULTS), apiKeyHashes: readKeyHashes(read) };
  if (config.apiKeyHashes.length === 0)
    read.problem('PENSTOCK_API_KEY_HASHES (or PENSTOCK_API_KEY) must be set: without it nobody could call');
  return read.finish(config);
}

/**
 * Reads the environment as `loadConfig` does, after the secrets that it names.
 * @param getSecret gives a secret's text by its ARN, or throws.
 */
export async function loadConfigWithSecrets(
  getSecret: (arn: string) => Promise<string>,
  env: Environment = process.env,
): Promise<GatewayConfig> {
  const read = async (arn: string | undefined) => (arn === undefined ? undefined : await getSecret(arn));
  const [key, originSecret] = await Promise.all([read(env['PENSTOCK_API_KEY_ARN']), read(env['PENSTOCK_ORIGIN_SECRET_ARN'])]);
  return loadConfig({
    ...env,
    ...(key === undefined ? {} : { PENSTOCK_API_KEY: key }),
    ...(originSecret === undefined ? {} : { PENSTOCK_ORIGIN_SECRET_SHA256: sha256(originSecret) }),
  });
}

/** What the function of the queue reads on top. */
export interface JobsConfig extends GatewayConfig {
  /** Where asynchronous endpoints read requests and leave answers; `undefined` where the catalog has none. */
  readonly offlineBucket: string | undefined;
}

/** Reads what the function of the queue needs: it answers nobody, so it knows no keys. */
export function loadJobsConfig(env: Environment = process.env): JobsConfig {
  const read = new EnvironmentReader(env);
  const config = { ...readGateway(read, LAMBDA_DEFAULTS), apiKeyHashes: [], offlineBucket: env['PENSTOCK_OFFLINE_BUCKET'] || undefined };
  if (config.store.kind !== 'dynamodb') read.problem('PENSTOCK_TABLE must be set: jobs are read from it');
  return read.finish(config);
}

/** What the web function reads on top. */
export interface WebFunctionConfig extends GatewayConfig {
  readonly host: string;
  readonly port: number;
  readonly deadlineMs: number;
  readonly drainSeconds: number;
}

/** Reads what the web function needs. */
export async function loadWebFunctionConfig(
  getSecret: (arn: string) => Promise<string>,
  env: Environment = process.env,
): Promise<WebFunctionConfig> {
  const read = new EnvironmentReader(env);
  const [, host = '', port = ''] = /^(.+):(\d{1,5})$/.exec(env['AWS_LAMBDA_HTTP_ENDPOINT'] ?? '') ?? [];
  if (host === '') read.problem('AWS_LAMBDA_HTTP_ENDPOINT must be HOST:PORT, as Lambda sets it');
  return read.finish({
    ...(await loadConfigWithSecrets(getSecret, env)),
    host: host.replace(/^\[(.*)\]$/, '$1'),
    port: Number(port),
    deadlineMs: read.integer('DEADLINE_SECONDS', 530, 1, 900) * 1000,
    drainSeconds: read.integer('DRAIN_SECONDS', 30, 0, 3600),
  });
}

/** Reads what the server entry needs. A default key exists only where nobody but this machine can call. */
export function loadServerConfig(env: Environment = process.env): ServerConfig {
  const read = new EnvironmentReader(env);
  const host = env['HOST'] ?? '127.0.0.1';
  const hashes = readKeyHashes(read);
  const developmentKey = hashes.length === 0 && isLoopback(host) ? DEVELOPMENT_KEY : undefined;
  if (hashes.length === 0 && developmentKey === undefined) {
    read.problem(`PENSTOCK_API_KEY must be set, because HOST ${host} can be reached from other machines`);
  }
  return read.finish({
    ...readGateway(read, {
      keep: 'always',
      batchMs: 50,
      seesDisconnects: true,
      recovers: true,
      store: { kind: 'sqlite', file: join(stateFolder(read), 'penstock.sqlite') },
    }),
    apiKeyHashes: developmentKey === undefined ? hashes : [sha256(developmentKey)],
    host,
    port: read.integer('PORT', 8080, 0, 65_535),
    developmentKey,
    drainSeconds: read.integer('DRAIN_SECONDS', 30, 0, 3600),
  });
}

interface Defaults {
  readonly keep: GatewayConfig['tokenLog']['keep'];
  readonly batchMs: number;
  readonly seesDisconnects: boolean;
  readonly recovers: boolean;
  readonly store: GatewayConfig['store'];
}

const LAMBDA_DEFAULTS: Defaults = { keep: 'asked', batchMs: 250, seesDisconnects: false, recovers: false, store: { kind: 'memory' } };

function readOidc(read: EnvironmentReader): OidcSettings | undefined {
  const issuer = read.env['OIDC_ISSUER'];
  if (!issuer) return undefined;
  const { OIDC_AUDIENCE: audience, OIDC_KEY_ID: keyId } = read.env;
  const jwksUri = read.env['OIDC_JWKS_URI'] || `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`;
  if (!URL.canParse(issuer) || !URL.canParse(jwksUri)) read.problem('OIDC_ISSUER and OIDC_JWKS_URI must be URLs');
  if (!audience || !keyId) read.problem('OIDC_ISSUER needs OIDC_AUDIENCE and OIDC_KEY_ID beside it');
  return { issuer, jwksUri, audience: audience ?? '', keyId: keyId ?? '' };
}

function readSwitches({ env }: EnvironmentReader): GatewayConfig['switches'] {
  const { PENSTOCK_SWITCHES_PARAMETER: parameter, PENSTOCK_SWITCHES: file } = env;
  if (parameter) return { kind: 'parameter', name: parameter };
  return file ? { kind: 'file', name: file } : undefined;
}

function readCacheSeconds(read: EnvironmentReader, keep: GatewayConfig['tokenLog']['keep']): number {
  const seconds = read.integer('CACHE_SECONDS', 0, 0, 30 * 86_400);
  if (seconds > 0 && keep === 'never') read.problem('CACHE_SECONDS must be 0 where KEEP_ANSWERS is never: such answers are kept');
  return seconds;
}

function stateFolder(read: EnvironmentReader): string {
  return read.env['PENSTOCK_DATA'] ?? join(read.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'penstock');
}

function readGateway(read: EnvironmentReader, defaults: Defaults): Omit<GatewayConfig, 'apiKeyHashes'> {
  const tableName = read.env['PENSTOCK_TABLE'];
  const keep = read.choice('KEEP_ANSWERS', defaults.keep, ['always', 'asked', 'never']);
  return {
    publicOrigin: read.origin('PENSTOCK_PUBLIC_ORIGIN'),
    signingKeyArn: read.env['PENSTOCK_SIGNING_KEY_ARN'] || undefined,
    switches: readSwitches(read),
    oidc: readOidc(read),
    store: tableName ? { kind: 'dynamodb', tableName } : read.env['PENSTOCK_DATA'] === 'memory' ? { kind: 'memory' } : defaults.store,
    jobsQueueUrl: read.env['PENSTOCK_JOBS_QUEUE'] || undefined,
    queue: {
      maxWaiting: read.integer('MAX_WAITING', 100, 0, 100_000),
      maxWaitMs: read.integer('MAX_WAIT_SECONDS', 300, 0, 86_400) * 1000,
      probeMs: 1_000,
    },
    cacheSeconds: readCacheSeconds(read, keep),
    runnerLeaseMs: RUNNER_LEASE_MS,
    retry: {
      maxFailures: read.integer('MAX_RETRIES', 3, 0, 100),
      canWait: read.env['MAX_WAITING'] !== '0',
      hedgeAfterMs: read.integer('HEDGE_AFTER_MS', 0, 0, 600_000),
      budget: { percent: read.integer('RETRY_PERCENT', 20, 0, 100), perSecond: 10 },
    },
    tokenLog: {
      keep,
      batchMs: read.integer('LOG_BATCH_MS', defaults.batchMs, 0, 60_000),
      retentionSeconds: read.integer('RETENTION_SECONDS', 86_400, 1, 400 * 86_400),
    },
    keepAliveMs: read.integer('KEEP_ALIVE_SECONDS', 5, 1, 3_600) * 1000,
    seesDisconnects: defaults.seesDisconnects,
    recovers: defaults.recovers,
    ...readCatalog(read),
    tokenizersFolder: read.env['PENSTOCK_TOKENIZERS'] ?? new URL('../../models/tokenizers', import.meta.url).pathname,
    encodingsFolder: read.env['PENSTOCK_ENCODINGS'] ?? new URL('../../dist/tokenizers', import.meta.url).pathname,
    originSecretHash: read.digests('PENSTOCK_ORIGIN_SECRET_SHA256')[0],
    safetyPolicyFile: readSafetyPolicy(read),
    guard: readGuard(read),
    minilm: readMinilm(read),
    safetyWeightsFile: safetyWeightsFile(read),
    maxBodyBytes: read.integer('MAX_BODY_BYTES', 4 * MIB, 1024, 100 * MIB),
  };
}

/** Looked at once here, so that a start tells what is wrong with it. */
function readSafetyPolicy(read: EnvironmentReader): string | undefined {
  const path = read.env['PENSTOCK_SAFETY_POLICY'];
  if (path === undefined || path === '') return undefined;
  try {
    parseSafetyPolicy(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    read.problem(`PENSTOCK_SAFETY_POLICY names ${path}, which cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
  return path;
}

function safetyWeightsFile(read: EnvironmentReader): string {
  return read.env['PENSTOCK_SAFETY_WEIGHTS'] ?? new URL('../../models/safety/weights/linear-heads.bin', import.meta.url).pathname;
}

function readGuard(read: EnvironmentReader): GatewayConfig['guard'] {
  const { PENSTOCK_GUARD_MODEL: modelId, PENSTOCK_GUARD_FORMAT: name = '' } = read.env;
  if (!modelId) return undefined;
  const format = guardFormats.get(name);
  if (format === undefined) read.problem(`PENSTOCK_GUARD_FORMAT must be one of ${[...guardFormats.keys()].join(', ')}`);
  return format && { modelId, format };
}

function readMinilm(read: EnvironmentReader): GatewayConfig['minilm'] {
  const modelId = read.env['PENSTOCK_MINILM_MODEL'];
  if (!modelId) return undefined;
  const path = join(dirname(safetyWeightsFile(read)), 'minilm-heads.jsonl');
  try {
    return { modelId, heads: readFileSync(path, 'utf8') };
  } catch {
    read.problem(`PENSTOCK_MINILM_MODEL needs ${path}, beside the weights of PENSTOCK_SAFETY_WEIGHTS`);
    return undefined;
  }
}

function readCatalog(read: EnvironmentReader): Pick<GatewayConfig, 'catalog' | 'embeddingModels' | 'answerPipelines'> {
  const path = read.env['PENSTOCK_CATALOG'];
  const regions = read.regions('PENSTOCK_OTHER_REGIONS');
  if (path === undefined) return { catalog: withOtherRegions(catalog, regions), embeddingModels, answerPipelines };
  try {
    const file: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return {
      catalog: withOtherRegions(parseCatalog(file), regions),
      embeddingModels: parseEmbeddingModels(file),
      answerPipelines: parseAnswerPipelines(file),
    };
  } catch (error) {
    read.problem(`PENSTOCK_CATALOG names ${path}, which cannot be used: ${error instanceof Error ? error.message : String(error)}`);
    return { catalog: [], embeddingModels: [], answerPipelines: [] };
  }
}

function readKeyHashes(read: EnvironmentReader): readonly string[] {
  const key = read.env['PENSTOCK_API_KEY'];
  if (key !== undefined && !/^[\x21-\x7e]{8,256}$/.test(key)) {
    read.problem('PENSTOCK_API_KEY must be 8 to 256 visible ASCII characters');
    return [];
  }
  return [...(key === undefined ? [] : [sha256(key)]), ...read.digests('PENSTOCK_API_KEY_HASHES')];
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
