/** What the canary reads from its environment, once, at cold start. */
import * as v from 'valibot';
import { isLoopback } from '../../layers/network/is-loopback.ts';

export interface CanaryConfig {
  /** The public address with `/v1`, as clients have it. */
  readonly baseUrl: string;
  /** Each gets a generation. */
  readonly models: readonly string[];
  /** Secret in AWS Secrets Manager with an API key that may generate. */
  readonly apiKeyArn: string;
  /** CloudWatch's namespace for what is measured. */
  readonly namespace: string;
  /** When an answer that is not whole has failed. */
  readonly deadlineMs: number;
}

/** Every name that this function reads: `infra` sets them from this list. The AWS SDK reads its own. */
export const CANARY_ENVIRONMENT = {
  CANARY_BASE_URL: 'public address with /v1, as clients have it; https, or a loopback address',
  CANARY_MODELS: 'JSON array of the ids of the models that are asked',
  CANARY_API_KEY_ARN: 'secret in AWS Secrets Manager that holds an API key with the scope generate',
  CANARY_NAMESPACE: 'namespace of its metrics in CloudWatch',
  CANARY_DEADLINE_SECONDS: 'how long an answer may take; default 60',
} as const;

/** CloudWatch takes nothing else as the value of a dimension. */
const modelsSchema = v.pipe(v.array(v.pipe(v.string(), v.regex(/^[\x21-\x7e][\x20-\x7e]{0,254}$/))), v.minLength(1));

/** @throws one error that lists every problem. */
export function loadCanaryConfig(env: Readonly<Record<string, string | undefined>> = process.env): CanaryConfig {
  const { CANARY_BASE_URL: url = '', CANARY_API_KEY_ARN: apiKeyArn = '', CANARY_NAMESPACE: namespace = '' } = env;
  const deadlineSeconds = Number(env['CANARY_DEADLINE_SECONDS'] ?? 60);
  const models = v.safeParse(v.pipe(v.string(), v.parseJson(), modelsSchema), env['CANARY_MODELS']);
  const problems = [
    ...(isSafeUrl(url) ? [] : ['CANARY_BASE_URL must be an https address: an API key is sent to it']),
    ...(models.success ? [] : ['CANARY_MODELS must be a JSON array of model ids in ASCII']),
    ...(apiKeyArn === '' ? ['CANARY_API_KEY_ARN must name a secret'] : []),
    ...(/^[\w./#:-]{1,255}$/.test(namespace) ? [] : ['CANARY_NAMESPACE must be a namespace of CloudWatch']),
    ...(Number.isInteger(deadlineSeconds) && deadlineSeconds >= 1 && deadlineSeconds <= 800
      ? []
      : ['CANARY_DEADLINE_SECONDS must be a whole number from 1 to 800']),
  ];
  if (problems.length > 0 || !models.success) throw new Error(`Bad configuration:\n- ${problems.join('\n- ')}`);
  return Object.freeze({
    baseUrl: url.replace(/\/+$/, ''),
    models: models.output,
    apiKeyArn,
    namespace,
    deadlineMs: deadlineSeconds * 1000,
  });
}

function isSafeUrl(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname } = new URL(url);
  return protocol === 'https:' || (protocol === 'http:' && isLoopback(hostname));
}
