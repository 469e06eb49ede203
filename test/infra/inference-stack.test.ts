import { Match, type Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { encodeRequest } from '../../functions/drivers/sagemaker-endpoint-request.ts';
import { catalog, type ModelDeployment, type ServedModel } from '../../models/catalog.ts';
import { fullCatalog } from '../support/full-catalog.ts';
import { DIGEST, type Stacks, statementsOf, synthesise, synthesiseProduction } from '../support/synthesise-stacks.ts';

const [model] = catalog as readonly [ServedModel]; // the catalog is never empty
const deployment = model.deployment as ModelDeployment; // our own model has one

let demo: Stacks;
let production: Stacks;

beforeAll(async () => {
  demo = await synthesise({});
  production = await synthesiseProduction();
});

describe('the endpoint', () => {
  const inference = () => demo('inference-eu-west-1');

  it('scales to zero instances and back', () => {
    inference().hasResourceProperties('AWS::SageMaker::EndpointConfig', {
      ProductionVariants: [
        Match.objectLike({
          InstanceType: model.deployment?.instanceType,
          ManagedInstanceScaling: { Status: 'ENABLED', MinInstanceCount: 0, MaxInstanceCount: model.deployment?.copies.max },
        }),
      ],
    });
    inference().hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
      MinCapacity: 0,
      MaxCapacity: model.deployment?.copies.max,
      ResourceId: `inference-component/${model.endpoint.inferenceComponent}`,
      ScalableDimension: 'sagemaker:inference-component:DesiredCopyCount',
    });
  });

  it('follows the requests in flight, in steps of ten seconds', () => {
    inference().hasResourceProperties('AWS::ApplicationAutoScaling::ScalingPolicy', {
      PolicyType: 'TargetTrackingScaling',
      TargetTrackingScalingPolicyConfiguration: Match.objectLike({
        PredefinedMetricSpecification: {
          PredefinedMetricType: 'SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution',
        },
      }),
    });
  });

  it('leaves zero when a request finds no copy', () => {
    inference().hasResourceProperties('AWS::ApplicationAutoScaling::ScalingPolicy', {
      PolicyType: 'StepScaling',
      StepScalingPolicyConfiguration: Match.objectLike({
        AdjustmentType: 'ChangeInCapacity',
        StepAdjustments: [{ MetricIntervalLowerBound: 0, ScalingAdjustment: 1 }],
      }),
    });
    inference().hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'NoCapacityInvocationFailures',
      Dimensions: [{ Name: 'InferenceComponentName', Value: model.endpoint.inferenceComponent }],
      Threshold: 1,
      AlarmActions: [Match.anyValue()],
    });
  });

  it('always has a copy in production, and no policy for leaving zero', () => {
    production('inference-eu-west-1').hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', { MinCapacity: 1 });
    const policies = production('inference-eu-west-1').findResources('AWS::ApplicationAutoScaling::ScalingPolicy');
    expect(Object.values(policies).map((policy) => policy['Properties'].PolicyType)).toEqual(['TargetTrackingScaling']);
  });

  it('has the names by which the gateway calls it, and the length that the catalog promises', () => {
    inference().hasResourceProperties('AWS::SageMaker::Endpoint', { EndpointName: model.endpoint.name });
    inference().hasResourceProperties('AWS::SageMaker::InferenceComponent', {
      InferenceComponentName: model.endpoint.inferenceComponent,
      EndpointName: model.endpoint.name,
    });
    inference().hasResourceProperties('AWS::SageMaker::Model', {
      PrimaryContainer: Match.objectLike({ Environment: Match.objectLike({ SM_VLLM_MAX_MODEL_LEN: String(model.contextLength) }) }),
    });
  });

  it('is updated copy by copy, and taken back when containers fail', () => {
    const [failing] = Object.keys(
      inference().findResources('AWS::CloudWatch::Alarm', { Properties: { MetricName: 'Invocation5XXErrors' } }),
    );
    const rollback = { AutoRollbackConfiguration: { Alarms: [{ AlarmName: { Ref: failing } }] } };
    inference().hasResourceProperties('AWS::SageMaker::Endpoint', {
      DeploymentConfig: {
        ...rollback,
        RollingUpdatePolicy: Match.objectLike({ MaximumBatchSize: { Type: 'CAPACITY_PERCENT', Value: 50 } }),
      },
    });
    inference().hasResourceProperties('AWS::SageMaker::InferenceComponent', {
      DeploymentConfig: { ...rollback, RollingUpdatePolicy: Match.objectLike({ MaximumBatchSize: { Type: 'COPY_COUNT', Value: 1 } }) },
    });
    inference().hasResourceProperties('AWS::CloudWatch::Alarm', { MetricName: 'Invocation5XXErrors' });
  });

  it('runs its containers in a network that has no way out', () => {
    inference().hasResourceProperties('AWS::SageMaker::Model', { EnableNetworkIsolation: true, VpcConfig: Match.anyValue() });
    for (const gate of ['InternetGateway', 'NatGateway', 'EgressOnlyInternetGateway']) inference().resourceCountIs(`AWS::EC2::${gate}`, 0);
    inference().hasResourceProperties('AWS::EC2::VPCEndpoint', { VpcEndpointType: 'Gateway', ServiceName: 'com.amazonaws.eu-west-1.s3' });
  });

  it('keeps its weights private, encrypted and versioned, when the stack is deleted too', () => {
    const encryption = Match.objectLike({ ServerSideEncryptionByDefault: Match.objectLike({ SSEAlgorithm: 'aws:kms' }) });
    demo('weights-eu-west-1').hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      Properties: Match.objectLike({
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        VersioningConfiguration: { Status: 'Enabled' },
        BucketEncryption: { ServerSideEncryptionConfiguration: [encryption] },
      }),
    });
    demo('weights-eu-west-1').hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: Match.objectLike({
        Statement: Match.arrayWith([Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } })]),
      }),
    });
  });

  it('stays as it is when a model is renamed for callers', async () => {
    const renamed = await synthesise({}, [{ ...model, id: 'another-name' }]);
    expect(renamed('inference-eu-west-1').toJSON()).toEqual(demo('inference-eu-west-1').toJSON());
  });
});

describe('what a catalog may ask for', () => {
  let inference: Template;
  beforeAll(async () => {
    inference = (await synthesise({ containerDigests: { lmi: DIGEST } }, fullCatalog))('inference-eu-west-1');
  });
  const environmentOf = (prefix: string, component: string) => {
    const models = Object.values(inference.findResources('AWS::SageMaker::Model'));
    const environments = models.map((each) => each['Properties'].PrimaryContainer.Environment as Record<string, string>);
    return environments.find(
      (each) =>
        Object.keys(each).some((name) => name.startsWith(prefix)) && (component === '' || each['SM_VLLM_SERVED_MODEL_NAME'] === component),
    );
  };

  it('takes another machine when AWS has none of the first', () => {
    inference.hasResourceProperties('AWS::SageMaker::EndpointConfig', {
      AsyncInferenceConfig: Match.absent(),
      ProductionVariants: [
        Match.objectLike({
          InstanceType: Match.absent(),
          InstancePools: [
            { InstanceType: 'ml.g6.xlarge', Priority: 1 },
            { InstanceType: 'ml.g5.xlarge', Priority: 2 },
            { InstanceType: 'ml.g4dn.2xlarge', Priority: 3 },
          ],
          VariantInstanceProvisionTimeoutInSeconds: Match.anyValue(),
        }),
      ],
    });
    // AWS wants to know what a component needs of each type of the pool.
    const [component] = Object.values(
      inference.findResources('AWS::SageMaker::InferenceComponent', { Properties: { InferenceComponentName: 'pooled' } }),
    );
    expect(component?.['Properties'].Specification).toBeUndefined();
    expect(component?.['Properties'].Specifications.map(({ InstanceType }: { InstanceType: string }) => InstanceType)).toEqual([
      'ml.g6.xlarge',
      'ml.g5.xlarge',
      'ml.g4dn.2xlarge',
    ]);
  });

  it('sends prompts that begin alike to the same instance', () => {
    inference.hasResourceProperties('AWS::SageMaker::EndpointConfig', {
      ProductionVariants: [
        Match.objectLike({
          RoutingConfig: {
            RoutingStrategy: 'PREFIX_AWARE',
            PrefixAwareRoutingConfig: { PrefixLength: 4096, ConcurrencyThreshold: deployment.concurrencyPerCopy },
          },
        }),
      ],
    });
    inference.hasResourceProperties('AWS::SageMaker::EndpointConfig', {
      ProductionVariants: [Match.objectLike({ RoutingConfig: { RoutingStrategy: 'LEAST_OUTSTANDING_REQUESTS' } })],
    });
  });

  it('compares what the prompt begins with: the body does', () => {
    // SageMaker takes the first bytes of the body: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_PrefixAwareRoutingConfig.html
    const { Body } = encodeRequest({
      target: { endpointName: 'pool' },
      requestId: 'req_1',
      promptTokenIds: [11, 22, 33],
      maxTokens: 8,
      stopTokenIds: [2],
      sampling: { temperature: 1, topP: 1 },
    });
    expect(String(Body)).toMatch(/^\{"prompt":\[11,22,33\]/);
  });

  it('puts adapters on the copies of their base, with the weights of the region', () => {
    for (const [name, on] of [
      ['support', model.endpoint.inferenceComponent],
      ['legal', 'base'],
    ]) {
      const [component] = Object.entries(
        inference.findResources('AWS::SageMaker::InferenceComponent', { Properties: { InferenceComponentName: name } }),
      ).map(([, resource]) => resource);
      expect(component?.['Properties'].Specification).toMatchObject({ BaseInferenceComponentName: on });
      const { ArtifactUrl } = component?.['Properties'].Specification.Container ?? {};
      expect(JSON.stringify(ArtifactUrl)).toContain(`/adapters/${name}.tar.gz`);
      expect(JSON.stringify(ArtifactUrl)).toContain('penstock-weights-eu-west-1');
      // It is loaded by its base, so it asks for no machine, and comes after it.
      expect(component?.['Properties'].Specification.ComputeResourceRequirements).toBeUndefined();
      const bases = inference.findResources('AWS::SageMaker::InferenceComponent', { Properties: { InferenceComponentName: on } });
      expect(component?.['DependsOn']).toContain(Object.keys(bases)[0]);
    }
    expect(JSON.stringify(statementsOf(inference))).toContain('/adapters/legal.tar.gz');
  });

  it('tells the containers of a base how many adapters come, and the largest rank, in sizes that vLLM knows', () => {
    // https://docs.vllm.ai/en/latest/features/lora.html: --max-lora-rank is one of 8, 16, 32, 64, ...
    expect(environmentOf('SM_VLLM_', 'smollm2-135m-instruct')).toMatchObject({
      SM_VLLM_ENABLE_LORA: 'true',
      SM_VLLM_MAX_LORAS: '1',
      SM_VLLM_MAX_LORA_RANK: '16',
      VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True',
    });
    expect(environmentOf('OPTION_', '')).toMatchObject({ OPTION_ENABLE_LORA: 'true', OPTION_MAX_LORAS: '2', OPTION_MAX_LORA_RANK: '64' });
    expect(environmentOf('SM_VLLM_', 'pooled')).not.toHaveProperty('SM_VLLM_ENABLE_LORA');
  });

  it('runs DJL-LMI in place of vLLM, and pins an image by its digest', () => {
    const images = Object.values(inference.findResources('AWS::SageMaker::Model')).map((each) =>
      JSON.stringify(each['Properties'].PrimaryContainer.Image),
    );
    expect(images.filter((image) => image.includes(`/djl-inference@${DIGEST}`))).toHaveLength(1);
    expect(images.filter((image) => /\/vllm:[\w.-]+/.test(image))).toHaveLength(2);
  });

  it('has an endpoint for batches that starts an instance when some wait, and none without', () => {
    inference.hasResourceProperties('AWS::SageMaker::EndpointConfig', {
      AsyncInferenceConfig: Match.objectLike({
        OutputConfig: Match.objectLike({ KmsKeyId: Match.anyValue(), S3OutputPath: Match.anyValue(), S3FailurePath: Match.anyValue() }),
      }),
      ProductionVariants: [Match.objectLike({ ModelName: Match.anyValue() })],
    });
    inference.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
      ResourceId: 'endpoint/pooled-async/variant/AllTraffic',
      ScalableDimension: 'sagemaker:variant:DesiredInstanceCount',
      MinCapacity: 0,
      MaxCapacity: 3,
    });
    inference.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'HasBacklogWithoutCapacity',
      Dimensions: [{ Name: 'EndpointName', Value: 'pooled-async' }],
      AlarmActions: [Match.anyValue()],
    });
    inference.hasResourceProperties('AWS::S3::Bucket', {
      PublicAccessBlockConfiguration: Match.objectLike({ RestrictPublicBuckets: true }),
      LifecycleConfiguration: Match.anyValue(),
    });
    demo('inference-eu-west-1').resourceCountIs('AWS::S3::Bucket', 0);
  });

  it('gives every container time to load its model', () => {
    for (const config of Object.values(inference.findResources('AWS::SageMaker::EndpointConfig'))) {
      const [variant] = config['Properties'].ProductionVariants;
      expect(variant.ContainerStartupHealthCheckTimeoutInSeconds).toBeGreaterThan(60);
      expect(variant.ModelDataDownloadTimeoutInSeconds).toBeGreaterThan(60);
    }
    for (const { Properties } of Object.values(inference.findResources('AWS::SageMaker::InferenceComponent'))) {
      const specifications = [Properties.Specification, ...(Properties.Specifications ?? [])].filter(
        (each) => each?.ModelName !== undefined,
      );
      for (const { StartupParameters } of specifications) {
        expect(StartupParameters.ContainerStartupHealthCheckTimeoutInSeconds).toBeGreaterThan(60);
        expect(StartupParameters.ModelDataDownloadTimeoutInSeconds).toBeGreaterThan(60);
      }
      // An adapter has no container of its own.
      if (specifications.length === 0) expect(Properties.Specification.BaseInferenceComponentName).toBeDefined();
    }
  });
});

describe('a rename', () => {
  /** Logical id by the name under which SageMaker knows it. */
  const named = (template: Template) =>
    Object.fromEntries(
      (['AWS::SageMaker::Endpoint', 'AWS::SageMaker::InferenceComponent'] as const).flatMap((type) =>
        Object.entries(template.findResources(type)).map(([id, { Properties }]) => [
          Properties.EndpointName && type.endsWith('Endpoint') ? Properties.EndpointName : Properties.InferenceComponentName,
          id,
        ]),
      ),
    );

  it.each([
    ['an inference component', { ...model, endpoint: { ...model.endpoint, inferenceComponent: 'renamed' } }],
    ['an endpoint', { ...model, endpoint: { ...model.endpoint, name: 'renamed' } }],
  ])('of %s makes another resource beside it: none is replaced under its name', async (_, renamed) => {
    const before = named(demo('inference-eu-west-1'));
    const after = named((await synthesise({}, [renamed]))('inference-eu-west-1'));
    expect(Object.keys(after)).toContain('renamed');
    // CloudFormation replaces what keeps its logical id and changes its name. So: whatever keeps the id keeps the name.
    for (const [name, id] of Object.entries(after)) {
      const kept = Object.entries(before).find(([, other]) => other === id);
      if (kept !== undefined) expect(kept[0]).toBe(name);
    }
    expect(Object.values(before)).not.toContain(after['renamed']);
  });

  it('of the weights’ folder renews the model, which is named by CloudFormation, and nothing that callers see', async () => {
    const moved = { ...model, deployment: { ...deployment, artifactPrefix: 'base/moved/' } };
    expect(named((await synthesise({}, [moved]))('inference-eu-west-1'))).toEqual(named(demo('inference-eu-west-1')));
    demo('inference-eu-west-1').hasResourceProperties('AWS::SageMaker::Model', { ModelName: Match.absent() });
  });
});
