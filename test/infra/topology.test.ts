import { App, type Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import { BUNDLES_FOLDER, bundleFunction, FUNCTIONS } from '../../functions/bundle.ts';
import { ENVIRONMENT } from '../../functions/gateway/config.ts';
import { ORIGIN_SECRET_HEADER } from '../../functions/gateway/middleware/verify-origin.ts';
import { buildApp } from '../../infra/build-app.ts';
import { loadSettings } from '../../infra/config.ts';
import { projectPath } from '../../infra/project-path.ts';
import { catalog } from '../../models/catalog.ts';

const [model] = catalog;
let inference: Template;
let gateway: Template;

beforeAll(async () => {
  for (const [name, entry] of Object.entries(FUNCTIONS)) await bundleFunction(entry, `${BUNDLES_FOLDER}/${name}`);
  const { default: file } = await import(projectPath('cdk.json'), { with: { type: 'json' } });
  const app = new App({ context: file.context });
  buildApp(
    app,
    loadSettings((key) => app.node.tryGetContext(key)),
    catalog,
  );
  const template = (name: string) => Template.fromStack(app.node.findChild(name) as Stack); // stacks are the only children by these names
  inference = template('penstock-inference-eu-west-1');
  gateway = template('penstock-gateway-eu-west-1');
});

interface Statement {
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}

function statements(template: Template): Statement[] {
  const policies = Object.values(template.findResources('AWS::IAM::Policy'));
  return policies.flatMap((policy) => policy['Properties'].PolicyDocument.Statement as Statement[]);
}

describe('the endpoint', () => {
  it('scales to zero instances and back', () => {
    inference.hasResourceProperties('AWS::SageMaker::EndpointConfig', {
      ProductionVariants: [
        Match.objectLike({
          InstanceType: model?.deployment?.instanceType,
          ManagedInstanceScaling: { Status: 'ENABLED', MinInstanceCount: 0, MaxInstanceCount: model?.deployment?.copies.max },
        }),
      ],
    });
    inference.hasResourceProperties('AWS::ApplicationAutoScaling::ScalableTarget', {
      MinCapacity: 0,
      MaxCapacity: model?.deployment?.copies.max,
      ResourceId: `inference-component/${model?.endpoint.inferenceComponent}`,
      ScalableDimension: 'sagemaker:inference-component:DesiredCopyCount',
    });
  });

  it('follows the requests in flight, in steps of ten seconds', () => {
    inference.hasResourceProperties('AWS::ApplicationAutoScaling::ScalingPolicy', {
      PolicyType: 'TargetTrackingScaling',
      TargetTrackingScalingPolicyConfiguration: Match.objectLike({
        PredefinedMetricSpecification: {
          PredefinedMetricType: 'SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution',
        },
      }),
    });
  });

  it('leaves zero when a request finds no copy', () => {
    inference.hasResourceProperties('AWS::ApplicationAutoScaling::ScalingPolicy', {
      PolicyType: 'StepScaling',
      StepScalingPolicyConfiguration: Match.objectLike({
        AdjustmentType: 'ChangeInCapacity',
        StepAdjustments: [{ MetricIntervalLowerBound: 0, ScalingAdjustment: 1 }],
      }),
    });
    inference.hasResourceProperties('AWS::CloudWatch::Alarm', {
      MetricName: 'NoCapacityInvocationFailures',
      Dimensions: [{ Name: 'InferenceComponentName', Value: model?.endpoint.inferenceComponent }],
      Threshold: 1,
      AlarmActions: [Match.anyValue()],
    });
  });

  it('has the names by which the gateway calls it, and the length that the catalog promises', () => {
    inference.hasResourceProperties('AWS::SageMaker::Endpoint', { EndpointName: model?.endpoint.name });
    inference.hasResourceProperties('AWS::SageMaker::InferenceComponent', {
      InferenceComponentName: model?.endpoint.inferenceComponent,
      EndpointName: model?.endpoint.name,
    });
    inference.hasResourceProperties('AWS::SageMaker::Model', {
      EnableNetworkIsolation: true,
      PrimaryContainer: Match.objectLike({ Environment: Match.objectLike({ SM_VLLM_MAX_MODEL_LEN: String(model?.contextLength) }) }),
    });
  });

  it('keeps its weights private, encrypted and versioned, when the stack is deleted too', () => {
    inference.hasResource('AWS::S3::Bucket', {
      DeletionPolicy: 'Retain',
      Properties: Match.objectLike({
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        VersioningConfiguration: { Status: 'Enabled' },
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [
            Match.objectLike({ ServerSideEncryptionByDefault: Match.objectLike({ SSEAlgorithm: 'aws:kms' }) }),
          ],
        },
      }),
    });
    inference.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: Match.objectLike({
        Statement: Match.arrayWith([Match.objectLike({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } })]),
      }),
    });
  });
});

describe('the gateway', () => {
  it('streams its answers', () => {
    gateway.hasResourceProperties('AWS::Lambda::Url', { InvokeMode: 'RESPONSE_STREAM', AuthType: 'NONE' });
    gateway.hasResourceProperties('AWS::Lambda::Function', { Runtime: 'nodejs24.x', Architectures: ['arm64'], Handler: 'index.handler' });
  });

  it('sets only names that the gateway reads', () => {
    const [gatewayFunction] = Object.values(gateway.findResources('AWS::Lambda::Function'));
    const names = Object.keys(gatewayFunction?.['Properties'].Environment.Variables);
    expect(names.length).toBeGreaterThan(0);
    expect(Object.keys(ENVIRONMENT)).toEqual(expect.arrayContaining(names));
  });

  it('may invoke its own endpoint and component, and nothing else of SageMaker', () => {
    const sagemaker = statements(gateway).filter(({ Action }) => [Action].flat().some((action) => action.startsWith('sagemaker:')));
    expect(sagemaker).toHaveLength(1);
    expect(sagemaker[0]?.Action).toBe('sagemaker:InvokeEndpointWithResponseStream');
    const resources = JSON.stringify(sagemaker[0]?.Resource);
    expect(resources).toContain(`:endpoint/${model?.endpoint.name}`);
    expect(resources).toContain(`:inference-component/${model?.endpoint.inferenceComponent}`);
    expect([sagemaker[0]?.Resource].flat()).toHaveLength(2);
  });

  it('has a role without any managed policy, wildcard action or wildcard resource', () => {
    for (const role of Object.values(gateway.findResources('AWS::IAM::Role'))) expect(role['Properties'].ManagedPolicyArns).toBeUndefined();
    for (const { Action, Resource } of statements(gateway)) {
      for (const action of [Action].flat()) expect(action).not.toContain('*');
      expect([Resource].flat()).not.toContain('*');
    }
  });

  it('is reached by the CDN, which adds the secret and neither keeps nor compresses anything', () => {
    gateway.hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: Match.objectLike({
        DefaultCacheBehavior: Match.objectLike({
          CachePolicyId: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad', // AWS's CachingDisabled
          OriginRequestPolicyId: 'b689b0a8-53d0-40ab-baf2-68738e2966ac', // AWS's AllViewerExceptHostHeader
          ViewerProtocolPolicy: 'https-only',
          Compress: false,
          AllowedMethods: Match.arrayWith(['OPTIONS', 'POST']),
        }),
        Origins: [Match.objectLike({ OriginCustomHeaders: [{ HeaderName: ORIGIN_SECRET_HEADER, HeaderValue: Match.anyValue() }] })],
      }),
    });
    const origins = JSON.stringify(gateway.findResources('AWS::CloudFront::Distribution'));
    expect(origins).toContain('{{resolve:secretsmanager:'); // a reference, never the secret's text
  });
});
