import { Duration } from 'aws-cdk-lib';
import { PredefinedMetric, ScalableTarget, ServiceNamespace, TargetTrackingScalingPolicy } from 'aws-cdk-lib/aws-applicationautoscaling';
import { Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { CfnInferenceComponent } from 'aws-cdk-lib/aws-sagemaker';
import type { Construct } from 'constructs';
import type { ComponentPlan } from '../endpoint-plan.ts';
import { leaveZeroOn } from './leave-zero.ts';

/** Copies follow the requests in flight, and a request that finds no copy starts the first. */
export function scaleCopies(scope: Construct, served: CfnInferenceComponent, { name, deployment }: ComponentPlan): void {
  const target = new ScalableTarget(scope, 'Copies', {
    serviceNamespace: ServiceNamespace.SAGEMAKER,
    resourceId: `inference-component/${name}`,
    scalableDimension: 'sagemaker:inference-component:DesiredCopyCount',
    minCapacity: deployment.copies.min,
    maxCapacity: deployment.copies.max,
  });
  target.node.addDependency(served);
  new TargetTrackingScalingPolicy(scope, 'FollowConcurrency', {
    scalingTarget: target,
    predefinedMetric: PredefinedMetric.SAGEMAKER_INFERENCE_COMPONENT_CONCURRENT_REQUESTS_PER_COPY_HIGH_RESOLUTION,
    targetValue: deployment.concurrencyPerCopy * 0.75, // room for what comes while another copy loads
    scaleInCooldown: Duration.minutes(5),
    scaleOutCooldown: Duration.minutes(1),
  });
  if (deployment.copies.min > 0) return;
  leaveZeroOn(scope, 'NobodyServes', target, Duration.minutes(1), {
    alarmDescription: `Requests for ${name} found no copy, so one is started. Runbook: docs/operations.md#nobodyserves`,
    metric: new Metric({
      namespace: 'AWS/SageMaker',
      metricName: 'NoCapacityInvocationFailures',
      dimensionsMap: { InferenceComponentName: name },
      statistic: Stats.MAXIMUM,
      period: Duration.seconds(30),
    }),
    evaluationPeriods: 1,
  });
}
