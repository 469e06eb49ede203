import * as v from 'valibot';
import { EndpointUnavailableError } from '../gateway/errors.ts';
import type { ControlPlane, EndpointTarget, TargetStatus } from '../gateway/services.ts';
import { type AwsClientOptions, AwsError, type AwsJsonClient, createAwsJsonClient } from './aws-json-client.ts';

const SAGEMAKER = { name: 'sagemaker', host: 'api.sagemaker', target: 'SageMaker', version: '1.1' } as const;
/** Whoever asks is shown what is known; the next one asks again. */
const MAX_ATTEMPTS = 2;

const count = v.nullish(v.number());
/** In seconds. */
const time = v.nullish(v.number());

/** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeInferenceComponent.html; an adapter has no copies of its own. */
const componentSchema = v.object({
  InferenceComponentStatus: v.string(),
  FailureReason: v.nullish(v.string()),
  LastModifiedTime: time,
  RuntimeConfig: v.nullish(v.object({ CurrentCopyCount: count, DesiredCopyCount: count })),
});

/** https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeEndpoint.html */
const endpointSchema = v.object({
  EndpointStatus: v.string(),
  FailureReason: v.nullish(v.string()),
  LastModifiedTime: time,
  ProductionVariants: v.nullish(
    v.array(v.object({ VariantName: v.string(), CurrentInstanceCount: count, DesiredInstanceCount: count })),
    [],
  ),
});

/** What SageMaker says of endpoints and inference components, in the region of each target. */
export function createSageMakerControlPlane(options: AwsClientOptions = {}): ControlPlane {
  const clients = new Map<string | undefined, AwsJsonClient>();
  const clientIn = (region: string | undefined): AwsJsonClient => {
    const known = clients.get(region);
    if (known !== undefined) return known;
    const client = createAwsJsonClient(SAGEMAKER, { maxAttempts: MAX_ATTEMPTS, ...options, ...(region === undefined ? {} : { region }) });
    clients.set(region, client);
    return client;
  };
  return {
    async describe(target) {
      const { endpointName, region } = target;
      const component = target.adapter ?? target.inferenceComponent;
      try {
        return component === undefined
          ? readEndpoint(await clientIn(region).call('DescribeEndpoint', { EndpointName: endpointName }), target)
          : readComponent(await clientIn(region).call('DescribeInferenceComponent', { InferenceComponentName: component }));
      } catch (error) {
        // There is no code of its own for what does not exist.
        if (error instanceof AwsError && error.name === 'ValidationException' && /could not find/i.test(error.message)) return undefined;
        throw new EndpointUnavailableError('unreachable', endpointName, { cause: error });
      }
    },
  };
}

function readComponent(answer: unknown): TargetStatus {
  const { InferenceComponentStatus: status, RuntimeConfig: runtime, FailureReason, LastModifiedTime } = v.parse(componentSchema, answer);
  return describe(status, runtime?.CurrentCopyCount, runtime?.DesiredCopyCount, LastModifiedTime, FailureReason);
}

function readEndpoint(answer: unknown, { variant }: EndpointTarget): TargetStatus {
  const { EndpointStatus: status, ProductionVariants, FailureReason, LastModifiedTime } = v.parse(endpointSchema, answer);
  const variants = (ProductionVariants ?? []).filter(({ VariantName }) => variant === undefined || VariantName === variant);
  const sum = (counts: readonly (number | null | undefined)[]) => counts.reduce<number>((total, one) => total + (one ?? 0), 0);
  const running = sum(variants.map(({ CurrentInstanceCount }) => CurrentInstanceCount));
  const wanted = sum(variants.map(({ DesiredInstanceCount }) => DesiredInstanceCount));
  return describe(status, running, wanted, LastModifiedTime, FailureReason);
}

function describe(
  status: string,
  running: number | null | undefined,
  wanted: number | null | undefined,
  changedAtSeconds: number | null | undefined,
  failure: string | null | undefined,
): TargetStatus {
  return {
    status,
    ...(typeof running === 'number' && typeof wanted === 'number' ? { copies: { running, wanted } } : {}),
    ...(typeof changedAtSeconds === 'number' ? { changedAt: Math.round(changedAtSeconds * 1000) } : {}),
    ...(failure ? { failure } : {}),
  };
}
