import type { CfnEndpointConfig } from 'aws-cdk-lib/aws-sagemaker';

/** Each endpoint has one. */
export const VARIANT = 'AllTraffic';

/** Weights are large: downloading and loading them takes minutes. */
const STARTUP_SECONDS = 900;
/** How long AWS may look for an instance among the types, before an update fails. Its own most is an hour. */
const PROVISION_SECONDS = 1800;

/** What a container has time for until it must answer its health check. */
export const HEALTH_CHECKS = {
  containerStartupHealthCheckTimeoutInSeconds: STARTUP_SECONDS,
  modelDataDownloadTimeoutInSeconds: STARTUP_SECONDS,
} as const;

/**
 * The variant's machines: one type, or a pool whose first is taken while AWS has it.
 * https://docs.aws.amazon.com/sagemaker/latest/dg/realtime-endpoints-heterogeneous.html
 */
export function hostOn(instanceTypes: readonly string[]): CfnEndpointConfig.ProductionVariantProperty {
  const [instanceType = '', ...others] = instanceTypes;
  return {
    variantName: VARIANT,
    initialInstanceCount: 1,
    inferenceAmiVersion: 'al2-ami-sagemaker-inference-gpu-3-1', // the driver that AWS's vLLM images ask for
    ...HEALTH_CHECKS,
    ...(others.length === 0
      ? { instanceType }
      : {
          instancePools: instanceTypes.map((type, index) => ({ instanceType: type, priority: index + 1 })),
          variantInstanceProvisionTimeoutInSeconds: PROVISION_SECONDS,
        }),
  };
}
