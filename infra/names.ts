/** Names by which stacks of different regions find each other: a region cannot refer to what another one creates later. */
import type { Settings } from './config.ts';

/** CloudFront's firewall and certificates live here. */
export const EDGE_REGION = 'us-east-1';

export function tableName({ name }: Settings): string {
  return name;
}

export function originSecretName({ name }: Settings): string {
  return `${name}/origin`;
}

export function firstApiKeyName({ name }: Settings): string {
  return `${name}/first-api-key`;
}

export function canaryName({ name }: Settings): string {
  return `${name}-canary`;
}

/** Where our own metrics are in CloudWatch: the canary's, and the counted lines of logs. */
export function metricsNamespace({ name }: Settings): string {
  return `Penstock/${name}`;
}

export function gatewayName({ name }: Settings): string {
  return `${name}-gateway`;
}

/** The queue of background work, and the function that works on it. */
export function jobsName({ name }: Settings): string {
  return `${name}-jobs`;
}

/** Where jobs go that were tried in vain. */
export function failedJobsName({ name }: Settings): string {
  return `${name}-jobs-failed`;
}

/** The parameter with what is switched without a deployment, in each region. */
export function switchesName({ name }: Settings): string {
  return `/${name}/switches`;
}

/** The alias that answers callers. */
export const LIVE = 'live';

export function gatewayStackName({ name }: Settings, region: string): string {
  return `${name}-gateway-${region}`;
}

export function edgeStackName({ name }: Settings): string {
  return `${name}-edge`;
}

/** The output of the edge stack that holds the public address with `/v1`. */
export const BASE_URL_OUTPUT = 'BaseUrl';

/** Availability zones that our networks reach. */
export const ZONES = 2;

/** What gateways in a private network call, besides DynamoDB and S3, which cost nothing there. */
export const PRIVATE_SERVICES = ['sagemaker.runtime', 'sagemaker.api', 'logs'] as const;

/** The output of a gateway stack that holds its address, without scheme and slash. */
export const GATEWAY_DOMAIN_OUTPUT = 'Domain';
