/**
 * An endpoint that takes its calls from a queue of SageMaker's own and puts the answers into a bucket: for batches, which nobody waits for. Such
 * an endpoint takes no other calls, so it has the same model a second time, and no instance while its queue is empty.
 * https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference-autoscale.html
 */
import { Duration } from 'aws-cdk-lib';
import { ScalableTarget, ServiceNamespace, TargetTrackingScalingPolicy } from 'aws-cdk-lib/aws-applicationautoscaling';
import { Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { CfnEndpoint, CfnEndpointConfig, type CfnModel } from 'aws-cdk-lib/aws-sagemaker';
import { Construct } from 'constructs';
import { asyncEndpointName } from '../../models/catalog.ts';
import type { ComponentPlan } from '../endpoint-plan.ts';
import { leaveZeroOn } from './leave-zero.ts';
import { hostOn, VARIANT } from './variant.ts';

export interface AsyncEndpointProps {
  readonly component: ComponentPlan;
  readonly model: CfnModel;
  readonly maxInstances: number;
  readonly results: Bucket;
  readonly key: IKey;
  readonly role: IRole;
}

export function createAsyncEndpoint(parent: Construct, { component, model, maxInstances, results, key, role }: AsyncEndpointProps): void {
  const scope = new Construct(parent, 'Asynchronous');
  const { deployment } = component;
  const name = asyncEndpointName(component.name);
  const config = new CfnEndpointConfig(scope, 'Config', {
    executionRoleArn: role.roleArn,
    kmsKeyId: key.keyArn,
    enableNetworkIsolation: true,
    productionVariants: [
      { ...hostOn([deployment.instanceType, ...(deployment.fallbackInstanceTypes ?? [])]), modelName: model.attrModelName },
    ],
    asyncInferenceConfig: {
      clientConfig: { maxConcurrentInvocationsPerInstance: deployment.concurrencyPerCopy },
      outputConfig: {
        kmsKeyId: key.keyArn,
        s3OutputPath: results.s3UrlForObject(`${name}/answers/`),
        s3FailurePath: results.s3UrlForObject(`${name}/failures/`),
      },
    },
  });
  config.node.addDependency(role);
  const endpoint = new CfnEndpoint(scope, 'Endpoint', { endpointName: name, endpointConfigName: config.attrEndpointConfigName });
  const target = new ScalableTarget(scope, 'Instances', {
    serviceNamespace: ServiceNamespace.SAGEMAKER,
    resourceId: `endpoint/${name}/variant/${VARIANT}`,
    scalableDimension: 'sagemaker:variant:DesiredInstanceCount',
    minCapacity: 0,
    maxCapacity: maxInstances,
  });
  target.node.addDependency(endpoint);
  const metric = (metricName: string, statistic: string) =>
    new Metric({ namespace: 'AWS/SageMaker', metricName, dimensionsMap: { EndpointName: name }, statistic, period: Duration.minutes(1) });
  new TargetTrackingScalingPolicy(scope, 'FollowBacklog', {
    scalingTarget: target,
    customMetric: metric('ApproximateBacklogSizePerInstance', Stats.AVERAGE),
    targetValue: deployment.concurrencyPerCopy,
    scaleInCooldown: Duration.minutes(10),
    scaleOutCooldown: Duration.minutes(5),
  });
  leaveZeroOn(scope, 'BatchesWait', target, Duration.minutes(5), {
    alarmDescription: `Batches wait for ${name}, which has no instance, so one is started. Runbook: docs/operations.md#batcheswait`,
    metric: metric('HasBacklogWithoutCapacity', Stats.MAXIMUM),
    evaluationPeriods: 2,
  });
}
