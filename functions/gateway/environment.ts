/** The names of the environment that the gateway's processes read, and how their values are read. */

/** Every setting: `infra` sets them from this list. The AWS SDK reads its own. */
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

export type Environment = Readonly<Record<string, string | undefined>>;

/** Collects problems, so that one start tells them all. */
export class EnvironmentReader {
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
