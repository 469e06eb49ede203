import { Duration } from 'aws-cdk-lib';
import {
  AdjustmentType,
  PredefinedMetric,
  ScalableTarget,
  ServiceNamespace,
  StepScalingAction,
  TargetTrackingScalingPolicy,
} from 'aws-cdk-lib/aws-applicationautoscaling';
import { Alarm, Metric, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { ApplicationScalingAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { CfnInferenceComponent } from 'aws-cdk-lib/aws-sagemaker';
import type { Construct } from 'constructs';
import type { ComponentPlan } from '../endpoint-plan.ts';

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
  // Tracking has nothing to measure while there is no copy: only failed calls tell that somebody waits.
  const leaveZero = new StepScalingAction(scope, 'LeaveZero', {
    scalingTarget: target,
    adjustmentType: AdjustmentType.CHANGE_IN_CAPACITY,
    cooldown: Duration.minutes(1),
  });
  leaveZero.addAdjustment({ adjustment: 1, lowerBound: 0 });
  new Alarm(scope, 'NobodyServes', {
    alarmDescription: `Requests for ${name} found no copy, so one is started. Runbook: docs/operations.md#nobodyserves`,
    metric: new Metric({
      namespace: 'AWS/SageMaker',
      metricName: 'NoCapacityInvocationFailures',
      dimensionsMap: { InferenceComponentName: name },
      statistic: Stats.MAXIMUM,
      period: Duration.seconds(30),
    }),
    threshold: 1,
    evaluationPeriods: 1,
    treatMissingData: TreatMissingData.NOT_BREACHING,
  }).addAlarmAction(new ApplicationScalingAction(leaveZero));
}
