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

/** Every name that this function reads: `infra` sets them from this list. The AWS SDK reads its own. */
export const ENVIRONMENT = {
  PENSTOCK_CATALOG: 'JSON file with a model catalog; default: the catalog in models/catalog.ts',
  PENSTOCK_OTHER_REGIONS: 'AWS regions with the same endpoints, separated by commas: asked when those of the own region do not answer',
  PENSTOCK_TOKENIZERS: 'folder with the compiled tokenizers; default: models/tokenizers',
  PENSTOCK_ENCODINGS: 'folder with the encodings that `npm run tokenizer -- compile` makes; default: dist/tokenizers',
  PENSTOCK_API_KEY: 'one API key; default on a loopback address: sk-local',
  PENSTOCK_API_KEY_HASHES: 'SHA-256 hex digests of API keys, separated by commas',
  PENSTOCK_ORIGIN_SECRET_SHA256: 'SHA-256 hex digest of the secret that the CDN sends',
  PENSTOCK_API_KEY_ARN: 'secret in AWS Secrets Manager that holds one API key; read by the functions in Lambda only',
  PENSTOCK_ORIGIN_SECRET_ARN: 'secret in AWS Secrets Manager that the CDN sends; read by the functions in Lambda only',
  PENSTOCK_SAFETY_POLICY:
    'JSON file with the default safety policy, read again when it changes, see docs/safety.md; default: everything passes',
  PENSTOCK_GUARD_MODEL: 'id of a guard model in the catalog that safety policies may ask; default: none',
  PENSTOCK_GUARD_FORMAT: 'how it is asked: llama-guard-3 or qwen3guard-gen; needed with PENSTOCK_GUARD_MODEL',
  PENSTOCK_MINILM_MODEL: 'id of an embedding model in the catalog that is all-MiniLM-L6-v2, which safety policies may ask; default: none',
  PENSTOCK_SAFETY_WEIGHTS: 'file with the weights of its classifier; default: models/safety/weights/linear-heads.bin',
  MAX_BODY_BYTES: 'largest request body; default 4194304',
  PENSTOCK_PUBLIC_ORIGIN:
    'what clients see before the path (https://api.example), for proofs of possession; default: the host that the CDN was called by, or as the request says',
  PENSTOCK_SIGNING_KEY_ARN: 'KMS key (ECC_NIST_P256, SIGN_VERIFY) that signs client secrets; default: keys in the table',
  PENSTOCK_SWITCHES_PARAMETER:
    'parameter of AWS Systems Manager with what is switched without a deployment, see docs/operations.md; default: nothing is',
  PENSTOCK_SWITCHES: 'JSON file with the same; read by the server only',
  OIDC_ISSUER: 'issuer (https://...) of an identity provider, such as a Cognito user pool, whose users may call',
  OIDC_AUDIENCE: 'audience, or client id, that their tokens must have',
  OIDC_KEY_ID: 'id of the API key whose rights and limits they share',
  OIDC_JWKS_URI: 'where the keys of the provider are; default: .well-known/jwks.json below the issuer',
  PENSTOCK_TABLE: 'DynamoDB table for keys, limits, usage and answers; default: the SQLite file, in Lambda the memory of the process',
  PENSTOCK_DATA: 'folder of the SQLite file, or `memory` for none; default: penstock below the folder for state of the user',
  PENSTOCK_JOBS_QUEUE: 'URL of the SQS queue whose function makes background responses; read by the functions in Lambda only',
  PENSTOCK_OFFLINE_BUCKET:
    'S3 bucket in which asynchronous endpoints find requests and leave answers; read by the function of the queue only; default: none are asked',
  MAX_WAITING: 'requests that may wait for a model that starts, 0 to refuse them at once; default 100',
  MAX_RETRIES: 'failed endpoint calls in a row that are tried again, before and after the first token; default 3',
  RETRY_PERCENT: 'most retries for each hundred requests of a model (10 a second are free on top), 0 to tell every failure; default 20',
  HEDGE_AFTER_MS: 'after so long without a first token another target of the model is asked too, 0 for never; default 0',
  MAX_WAIT_SECONDS: 'how long each of them waits; default 300',
  KEEP_ANSWERS:
    'which answers can be read again: always, asked (a lease or an Idempotency-Key) or never, which keeps no text at all; default always, in Lambda asked',
  RETENTION_SECONDS: 'how long they are kept; default 86400',
  CACHE_SECONDS: 'how long the answer to a request with temperature 0 or a seed is given again to the same key, 0 for never; default 0',
  LOG_BATCH_MS: 'how often a running answer is written down; default 50, in Lambda 250',
  KEEP_ALIVE_SECONDS: 'pause after which a silent stream gets a comment; default 5',
  HOST: 'address of the server; default 127.0.0.1',
  PORT: 'port of the server; default 8080',
  DRAIN_SECONDS: 'how long running streams may go on after SIGTERM or Ctrl-C; default 30',
  AWS_LAMBDA_HTTP_ENDPOINT: 'address and port of the web function, HOST:PORT; set by Lambda',
  DEADLINE_SECONDS: 'when the web function ends an answer, which must be before its timeout; default 530',
} as const;

type Environment = Readonly<Record<string, string | undefined>>;

const DEVELOPMENT_KEY = 'sk-local';
const MIB = 1024 * 1024;

/**
 * Reads the environment, once, at cold start.
 * @throws one error that lists every problem.
 */
export function loadConfig(env: Environment = process.env): GatewayConfig {
  const read = new Reader(env);
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
  const read = new Reader(env);
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
  const read = new Reader(env);
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
  const read = new Reader(env);
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

function readOidc(read: Reader): OidcSettings | undefined {
  const issuer = read.env['OIDC_ISSUER'];
  if (!issuer) return undefined;
  const { OIDC_AUDIENCE: audience, OIDC_KEY_ID: keyId } = read.env;
  const jwksUri = read.env['OIDC_JWKS_URI'] || `${issuer.replace(/\/$/, '')}/.well-known/jwks.json`;
  if (!URL.canParse(issuer) || !URL.canParse(jwksUri)) read.problem('OIDC_ISSUER and OIDC_JWKS_URI must be URLs');
  if (!audience || !keyId) read.problem('OIDC_ISSUER needs OIDC_AUDIENCE and OIDC_KEY_ID beside it');
  return { issuer, jwksUri, audience: audience ?? '', keyId: keyId ?? '' };
}

function readSwitches({ env }: Reader): GatewayConfig['switches'] {
  const { PENSTOCK_SWITCHES_PARAMETER: parameter, PENSTOCK_SWITCHES: file } = env;
  if (parameter) return { kind: 'parameter', name: parameter };
  return file ? { kind: 'file', name: file } : undefined;
}

function readCacheSeconds(read: Reader, keep: GatewayConfig['tokenLog']['keep']): number {
  const seconds = read.integer('CACHE_SECONDS', 0, 0, 30 * 86_400);
  if (seconds > 0 && keep === 'never') read.problem('CACHE_SECONDS must be 0 where KEEP_ANSWERS is never: such answers are kept');
  return seconds;
}

function stateFolder(read: Reader): string {
  return read.env['PENSTOCK_DATA'] ?? join(read.env['XDG_STATE_HOME'] || join(homedir(), '.local', 'state'), 'penstock');
}

function readGateway(read: Reader, defaults: Defaults): Omit<GatewayConfig, 'apiKeyHashes'> {
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
function readSafetyPolicy(read: Reader): string | undefined {
  const path = read.env['PENSTOCK_SAFETY_POLICY'];
  if (path === undefined || path === '') return undefined;
  try {
    parseSafetyPolicy(JSON.parse(readFileSync(path, 'utf8')));
  } catch (error) {
    read.problem(`PENSTOCK_SAFETY_POLICY names ${path}, which cannot be used: ${error instanceof Error ? error.message : String(error)}`);
  }
  return path;
}

function safetyWeightsFile(read: Reader): string {
  return read.env['PENSTOCK_SAFETY_WEIGHTS'] ?? new URL('../../models/safety/weights/linear-heads.bin', import.meta.url).pathname;
}

function readGuard(read: Reader): GatewayConfig['guard'] {
  const { PENSTOCK_GUARD_MODEL: modelId, PENSTOCK_GUARD_FORMAT: name = '' } = read.env;
  if (!modelId) return undefined;
  const format = guardFormats.get(name);
  if (format === undefined) read.problem(`PENSTOCK_GUARD_FORMAT must be one of ${[...guardFormats.keys()].join(', ')}`);
  return format && { modelId, format };
}

function readMinilm(read: Reader): GatewayConfig['minilm'] {
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

function readCatalog(read: Reader): Pick<GatewayConfig, 'catalog' | 'embeddingModels' | 'answerPipelines'> {
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

function readKeyHashes(read: Reader): readonly string[] {
  const key = read.env['PENSTOCK_API_KEY'];
  if (key !== undefined && !/^[\x21-\x7e]{8,256}$/.test(key)) {
    read.problem('PENSTOCK_API_KEY must be 8 to 256 visible ASCII characters');
    return [];
  }
  return [...(key === undefined ? [] : [sha256(key)]), ...read.digests('PENSTOCK_API_KEY_HASHES')];
}

/** Collects problems, so that one start tells them all. */
class Reader {
  readonly #problems: string[] = [];
  readonly env: Environment;
  constructor(env: Environment) {
    this.env = env;
  }
  problem(text: string): void {
    this.#problems.push(text);
  }
  integer(name: keyof typeof ENVIRONMENT, fallback: number, least: number, most: number): number {
    const text = this.env[name];
    if (text === undefined || text === '') return fallback;
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    this.problem(`${name} must be a whole number from ${least} to ${most}`);
    return fallback;
  }
  origin(name: keyof typeof ENVIRONMENT): string | undefined {
    const text = this.env[name];
    if (text === undefined || text === '') return undefined;
    if (URL.canParse(text) && new URL(text).origin === text) return text;
    this.problem(`${name} must be an origin such as https://api.example`);
    return undefined;
  }
  choice<Choice extends string>(name: keyof typeof ENVIRONMENT, fallback: Choice, choices: readonly Choice[]): Choice {
    const text = this.env[name];
    if (text === undefined || text === '') return fallback;
    const choice = choices.find((one) => one === text);
    if (choice === undefined) this.problem(`${name} must be one of ${choices.join(', ')}`);
    return choice ?? fallback;
  }
  digests(name: keyof typeof ENVIRONMENT): readonly string[] {
    const texts = (this.env[name] ?? '')
      .split(',')
      .map((text) => text.trim().toLowerCase())
      .filter((text) => text !== '');
    if (texts.every((text) => /^[0-9a-f]{64}$/.test(text))) return texts;
    this.problem(`${name} must hold SHA-256 digests of 64 hexadecimal digits`);
    return [];
  }
  regions(name: keyof typeof ENVIRONMENT): readonly string[] {
    const texts = (this.env[name] ?? '')
      .split(',')
      .map((text) => text.trim())
      .filter((text) => text !== '');
    if (texts.every((text) => /^[a-z]{2}(-[a-z]+)+-\d$/.test(text))) return texts;
    this.problem(`${name} must hold regions such as eu-west-1, separated by commas`);
    return [];
  }
  finish<Config extends object>(config: Config): Readonly<Config> {
    if (this.#problems.length > 0) throw new Error(`Bad configuration:\n- ${this.#problems.join('\n- ')}`);
    return Object.freeze(config);
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
