import { Duration, Stack } from 'aws-cdk-lib';
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
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { CfnEndpoint, CfnEndpointConfig, CfnInferenceComponent, CfnModel } from 'aws-cdk-lib/aws-sagemaker';
import { Construct } from 'constructs';
import type { ComponentPlan, EndpointPlan } from '../plan-endpoints.ts';
import { containerEnvironment, containerImage } from './model-container.ts';
import type { ModelNetwork } from './model-network.ts';

export interface ModelEndpointProps {
  readonly plan: EndpointPlan;
  readonly weights: Bucket;
  readonly key: IKey;
  readonly role: IRole;
  readonly network: ModelNetwork;
}

const VARIANT = 'AllTraffic';
/** Weights are large: downloading and loading them takes minutes. */
const STARTUP_SECONDS = 900;

/**
 * A SageMaker endpoint with one inference component for each model. Instances follow the components' copies, down to none:
 * https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html
 */
export class ModelEndpoint extends Construct {
  readonly #props: ModelEndpointProps;
  readonly #endpoint: CfnEndpoint;

  constructor(scope: Construct, id: string, props: ModelEndpointProps) {
    super(scope, id);
    this.#props = props;
    const { plan, key, role } = props;
    const most = plan.components.reduce((sum, { deployment }) => sum + deployment.copies.max, 0);
    const config = new CfnEndpointConfig(this, 'Config', {
      executionRoleArn: role.roleArn,
      kmsKeyId: key.keyArn,
      enableNetworkIsolation: true,
      productionVariants: [
        {
          variantName: VARIANT,
          instanceType: plan.instanceType,
          initialInstanceCount: 1,
          inferenceAmiVersion: 'al2-ami-sagemaker-inference-gpu-3-1', // the driver that AWS's vLLM images ask for
          containerStartupHealthCheckTimeoutInSeconds: STARTUP_SECONDS,
          modelDataDownloadTimeoutInSeconds: STARTUP_SECONDS,
          managedInstanceScaling: { status: 'ENABLED', minInstanceCount: 0, maxInstanceCount: most },
          routingConfig: { routingStrategy: 'LEAST_OUTSTANDING_REQUESTS' },
        },
      ],
    });
    config.node.addDependency(role);
    const failing = this.#alarmOnFailures();
    this.#endpoint = new CfnEndpoint(this, 'Endpoint', {
      endpointName: plan.name,
      endpointConfigName: config.attrEndpointConfigName,
      deploymentConfig: {
        rollingUpdatePolicy: { maximumBatchSize: { type: 'CAPACITY_PERCENT', value: 50 }, waitIntervalInSeconds: 120 },
        autoRollbackConfiguration: { alarms: [{ alarmName: failing.alarmName }] },
      },
    });
    for (const component of plan.components) this.#addComponent(component, failing);
  }

  /** The containers answer with errors: an update that does this is taken back. */
  #alarmOnFailures(): Alarm {
    return new Alarm(this, 'ContainersFail', {
      alarmDescription: `Containers of the endpoint ${this.#props.plan.name} answer with errors. Runbook: docs/operations.md#containersfail`,
      metric: new Metric({
        namespace: 'AWS/SageMaker',
        metricName: 'Invocation5XXErrors',
        dimensionsMap: { EndpointName: this.#props.plan.name, VariantName: VARIANT },
        statistic: Stats.SUM,
        period: Duration.minutes(1),
      }),
      threshold: 5,
      evaluationPeriods: 2,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    });
  }

  #addComponent(component: ComponentPlan, failing: Alarm): void {
    const { weights, role, plan, network } = this.#props;
    const { deployment } = component;
    const stack = Stack.of(this);
    const scope = new Construct(this, component.name);
    const model = new CfnModel(scope, 'Model', {
      executionRoleArn: role.roleArn,
      enableNetworkIsolation: true,
      vpcConfig: { subnets: network.subnetIds, securityGroupIds: [network.securityGroupId] },
      primaryContainer: {
        image: containerImage(deployment.container, stack.region, stack.urlSuffix),
        environment: containerEnvironment(component),
        modelDataSource: {
          s3DataSource: {
            s3Uri: weights.s3UrlForObject(deployment.artifactPrefix),
            s3DataType: 'S3Prefix',
            compressionType: 'None',
          },
        },
      },
    });
    model.node.addDependency(role); // SageMaker looks into the bucket while it creates the model
    const served = new CfnInferenceComponent(scope, 'Component', {
      inferenceComponentName: component.name,
      endpointName: plan.name,
      variantName: VARIANT,
      // A deployment that cannot load its model fails; scaling in takes the copy away afterwards.
      runtimeConfig: { copyCount: Math.max(1, deployment.copies.min) },
      specification: {
        modelName: model.attrModelName,
        computeResourceRequirements: {
          numberOfAcceleratorDevicesRequired: deployment.acceleratorCount,
          minMemoryRequiredInMb: deployment.minMemoryMb,
        },
        startupParameters: {
          containerStartupHealthCheckTimeoutInSeconds: STARTUP_SECONDS,
          modelDataDownloadTimeoutInSeconds: STARTUP_SECONDS,
        },
        dataCacheConfig: { enableCaching: true },
      },
      deploymentConfig: {
        rollingUpdatePolicy: { maximumBatchSize: { type: 'COPY_COUNT', value: 1 }, waitIntervalInSeconds: 60 },
        autoRollbackConfiguration: { alarms: [{ alarmName: failing.alarmName }] },
      },
    });
    served.addResourceDependency(this.#endpoint);
    scaleCopies(scope, served, component);
  }
}

/** Copies follow the requests in flight, and a request that finds no copy starts the first. */
function scaleCopies(scope: Construct, served: CfnInferenceComponent, { name, deployment }: ComponentPlan): void {
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
