/**
 * What SageMaker's control plane says of endpoints and inference components: the two calls that the gateway makes, in AWS's JSON.
 * https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeInferenceComponent.html
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import * as v from 'valibot';
import type { PoolState } from './copy-pool.ts';
import { DEFAULT_VARIANT } from './endpoint.ts';
import type { Surroundings } from './invocation.ts';

const ACCOUNT = '000000000000';
const inputSchema = v.object({ EndpointName: v.optional(v.string()), InferenceComponentName: v.optional(v.string()) });

/** Answers a call, which its header names. */
export function answerControlPlane(request: IncomingMessage, body: Buffer, response: ServerResponse, surroundings: Surroundings): void {
  const operation = String(request.headers['x-amz-target']).replace(/^SageMaker\./, '');
  const answer = describe(operation, body, surroundings);
  const isError = '__type' in answer;
  response.writeHead(isError ? 400 : 200, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(answer));
}

function describe(operation: string, body: Buffer, surroundings: Surroundings): object {
  const input = v.safeParse(v.pipe(v.string(), v.parseJson(), inputSchema), body.toString('utf8'));
  const { EndpointName, InferenceComponentName } = input.success ? input.output : {};
  if (operation === 'DescribeInferenceComponent' && InferenceComponentName !== undefined)
    return describeComponent(InferenceComponentName, surroundings);
  if (operation === 'DescribeEndpoint' && EndpointName !== undefined) return describeEndpoint(EndpointName, surroundings);
  return { __type: operation.startsWith('Describe') ? 'ValidationException' : 'UnknownOperationException', message: 'Bad request.' };
}

function describeComponent(name: string, { endpoints, config, now }: Surroundings): object {
  const [endpointName, component] =
    Object.entries(config.endpoints)
      .map(([endpoint, { inferenceComponents = {} }]) => [endpoint, inferenceComponents[name]] as const)
      .find(([, found]) => found !== undefined) ?? [];
  if (endpointName === undefined || component === undefined)
    return notFound('inference component', 'inference-component', name, config.region);
  const head = {
    InferenceComponentName: name,
    InferenceComponentArn: arn('inference-component', name, config.region),
    EndpointName: endpointName,
    EndpointArn: arn('endpoint', endpointName, config.region),
  };
  const state = endpoints.get(endpointName)?.states(now()).get(name);
  // An adapter has neither copies nor a variant of its own.
  if (state === undefined) return { ...head, InferenceComponentStatus: 'InService' };
  return {
    ...head,
    VariantName: DEFAULT_VARIANT,
    InferenceComponentStatus: statusOf([state]),
    RuntimeConfig: { CurrentCopyCount: state.running, DesiredCopyCount: state.wanted },
    LastModifiedTime: timeOf([state]),
  };
}

function describeEndpoint(name: string, { endpoints, config, now }: Surroundings): object {
  const endpoint = endpoints.get(name);
  if (endpoint === undefined) return notFound('endpoint', 'endpoint', name, config.region);
  const states = endpoint.states(now());
  const variants = config.endpoints[name]?.inferenceComponents === undefined ? [...states] : [];
  return {
    EndpointName: name,
    EndpointArn: arn('endpoint', name, config.region),
    EndpointStatus: statusOf(variants.map(([, state]) => state)),
    ProductionVariants: variants.map(([VariantName, { running, wanted }]) => ({
      VariantName,
      CurrentInstanceCount: running,
      DesiredInstanceCount: wanted,
    })),
    LastModifiedTime: timeOf([...states.values()]),
  };
}

function statusOf(states: readonly PoolState[]): 'InService' | 'Updating' {
  return states.every(({ running, wanted }) => running === wanted) ? 'InService' : 'Updating';
}

/** In seconds, with fractions, as AWS writes times. */
function timeOf(states: readonly PoolState[]): number {
  return (Date.now() - Math.min(...states.map(({ unchangedMs }) => unchangedMs))) / 1000;
}

function arn(kind: string, name: string, region: string): string {
  return `arn:aws:sagemaker:${region}:${ACCOUNT}:${kind}/${name}`;
}

function notFound(what: string, kind: string, name: string, region: string): object {
  return { __type: 'ValidationException', message: `Could not find ${what} "${arn(kind, name, region)}".` };
}
