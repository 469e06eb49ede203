import { Duration, Stack } from 'aws-cdk-lib';
import { Alarm, Metric, Stats, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import type { IRole } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { CfnEndpoint, CfnEndpointConfig, CfnInferenceComponent, CfnModel } from 'aws-cdk-lib/aws-sagemaker';
import { Construct } from 'constructs';
import { type AdapterPlan, type ComponentPlan, type EndpointPlan, instanceTypesOf } from '../endpoint-plan.ts';
import { createAsyncEndpoint } from './async-endpoint.ts';
import { type ContainerDigests, containerEnvironment, containerImage } from './model-container.ts';
import type { ModelNetwork } from './model-network.ts';
import { scaleCopies } from './scale-copies.ts';
import { HEALTH_CHECKS, hostOn, VARIANT } from './variant.ts';

export interface ModelEndpointProps {
  readonly plan: EndpointPlan;
  readonly weights: Bucket;
  /** Where asynchronous endpoints put their answers; there is one when the catalog has such an endpoint. */
  readonly results: Bucket | undefined;
  readonly key: IKey;
  readonly role: IRole;
  readonly network: ModelNetwork;
  readonly digests: ContainerDigests;
}

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
          ...hostOn(instanceTypesOf(plan)),
          managedInstanceScaling: { status: 'ENABLED', minInstanceCount: 0, maxInstanceCount: most },
          routingConfig: routingOf(plan),
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
    const { plan } = this.#props;
    const { deployment } = component;
    const scope = new Construct(this, component.name);
    const model = this.#createModel(scope, component);
    const specification = {
      modelName: model.attrModelName,
      computeResourceRequirements: {
        numberOfAcceleratorDevicesRequired: deployment.acceleratorCount,
        minMemoryRequiredInMb: deployment.minMemoryMb,
      },
      startupParameters: HEALTH_CHECKS,
      dataCacheConfig: { enableCaching: true },
    };
    const types = instanceTypesOf(plan);
    const served = new CfnInferenceComponent(scope, 'Component', {
      inferenceComponentName: component.name,
      endpointName: plan.name,
      variantName: VARIANT,
      // A deployment that cannot load its model fails; scaling in takes the copy away afterwards.
      runtimeConfig: { copyCount: Math.max(1, deployment.copies.min) },
      // A component says what it needs of each type of the pool.
      ...(types.length === 1 ? { specification } : { specifications: types.map((instanceType) => ({ ...specification, instanceType })) }),
      deploymentConfig: {
        rollingUpdatePolicy: { maximumBatchSize: { type: 'COPY_COUNT', value: 1 }, waitIntervalInSeconds: 60 },
        autoRollbackConfiguration: { alarms: [{ alarmName: failing.alarmName }] },
      },
    });
    served.addResourceDependency(this.#endpoint);
    scaleCopies(scope, served, component);
    for (const adapter of component.adapters) this.#addAdapter(scope, adapter, component, served);
    const { results } = this.#props;
    if (deployment.asynchronous !== undefined && results !== undefined) {
      createAsyncEndpoint(scope, { ...this.#props, results, component, model, maxInstances: deployment.asynchronous.maxInstances });
    }
  }

  #createModel(scope: Construct, component: ComponentPlan): CfnModel {
    const { weights, role, network, digests } = this.#props;
    const { container, artifactPrefix } = component.deployment;
    const { region, urlSuffix } = Stack.of(this);
    const model = new CfnModel(scope, 'Model', {
      executionRoleArn: role.roleArn,
      enableNetworkIsolation: true,
      vpcConfig: { subnets: network.subnetIds, securityGroupIds: [network.securityGroupId] },
      primaryContainer: {
        image: containerImage(container, region, urlSuffix, digests),
        environment: containerEnvironment(component),
        modelDataSource: {
          s3DataSource: { s3Uri: weights.s3UrlForObject(artifactPrefix), s3DataType: 'S3Prefix', compressionType: 'None' },
        },
      },
    });
    model.node.addDependency(role); // SageMaker looks into the bucket while it creates the model
    return model;
  }

  /** It needs nothing of its own: the base's copies load it. */
  #addAdapter(scope: Construct, { name, adapter }: AdapterPlan, base: ComponentPlan, served: CfnInferenceComponent): void {
    const component = new CfnInferenceComponent(scope, name, {
      inferenceComponentName: name,
      endpointName: this.#props.plan.name,
      specification: {
        baseInferenceComponentName: base.name,
        container: { artifactUrl: this.#props.weights.s3UrlForObject(adapter.artifact) },
      },
    });
    component.addResourceDependency(served);
  }
}

/** AWS compares the beginning of the request's body, which is that of the prompt's token ids. */
function routingOf({ prefixAwareRouting, components }: EndpointPlan): CfnEndpointConfig.RoutingConfigProperty {
  if (prefixAwareRouting === undefined) return { routingStrategy: 'LEAST_OUTSTANDING_REQUESTS' };
  const concurrencyThreshold = Math.min(1024, ...components.map(({ deployment }) => deployment.concurrencyPerCopy));
  return {
    routingStrategy: 'PREFIX_AWARE',
    prefixAwareRoutingConfig: { prefixLength: prefixAwareRouting.prefixBytes, concurrencyThreshold },
  };
}
