import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, type Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { Bucket, CfnBucket } from 'aws-cdk-lib/aws-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleFunction } from '../../functions/bundle.ts';
import { ENVIRONMENT } from '../../functions/gateway/config.ts';
import { ORIGIN_SECRET_HEADER } from '../../functions/gateway/middleware/verify-origin.ts';
import { buildApp } from '../../infra/build-app.ts';
import { loadSettings, type Settings } from '../../infra/config.ts';
import { projectPath } from '../../infra/project-path.ts';
import { catalog, type ServedModel } from '../../models/catalog.ts';

const [model] = catalog as readonly [ServedModel]; // the catalog is never empty
const REGIONS = ['eu-west-1', 'us-west-2'];
const domain = { name: 'api.example.com', certificateArn: 'arn:aws:acm:us-east-1:111111111111:certificate/0' };

let bundles: string;
let demo: (stack: string) => Template;
let production: (stack: string) => Template;

/** Synthesises in this process, cdk-nag and CDK's own validation included: any finding throws. */
async function synthesise(
  changes: Partial<Settings>,
  models = catalog,
  alter: (app: App) => void = () => {},
): Promise<(stack: string) => Template> {
  const { default: file } = await import(projectPath('cdk.json'), { with: { type: 'json' } });
  const app = new App({ context: { ...file.context, penstock: { ...file.context.penstock, ...changes } } });
  const settings = loadSettings((key) => app.node.tryGetContext(key));
  buildApp(app, settings, models, bundles);
  alter(app);
  app.synth();
  return (stack) => Template.fromStack(app.node.findChild(`penstock-${stack}`) as Stack); // stacks are the only children by these names
}

beforeAll(async () => {
  bundles = await mkdtemp(join(tmpdir(), 'penstock-topology-'));
  await bundleFunction('event-function', join(bundles, 'event-function'));
  demo = await synthesise({});
  production = await synthesise({ profile: 'production', regions: REGIONS, domain, alarmEmail: 'ops@example.com', monthlyBudget: 5000 });
});

afterAll(() => rm(bundles, { recursive: true }));

interface Statement {
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}

function statements(template: Template): Statement[] {
  const policies = Object.values(template.findResources('AWS::IAM::Policy'));
  return policies.flatMap((policy) => policy['Properties'].PolicyDocument.Statement as Statement[]);
}

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
    const rollback = { AutoRollbackConfiguration: { Alarms: [Match.anyValue()] } };
    inference().hasResourceProperties('AWS::SageMaker::Endpoint', { DeploymentConfig: Match.objectLike(rollback) });
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

describe('the gateway', () => {
  const gateway = () => demo('gateway-eu-west-1');

  it('streams its answers', () => {
    gateway().hasResourceProperties('AWS::Lambda::Url', { InvokeMode: 'RESPONSE_STREAM', AuthType: 'NONE', Qualifier: 'live' });
    gateway().hasResourceProperties('AWS::Lambda::Function', { Runtime: 'nodejs24.x', Architectures: ['arm64'], Handler: 'index.handler' });
  });

  it('sets only names that the gateway reads', () => {
    const [gatewayFunction] = Object.values(gateway().findResources('AWS::Lambda::Function'));
    const names = Object.keys(gatewayFunction?.['Properties'].Environment.Variables);
    expect(names.length).toBeGreaterThan(0);
    expect(Object.keys(ENVIRONMENT)).toEqual(expect.arrayContaining(names));
  });

  it('holds no secret in its settings', () => {
    expect(JSON.stringify(gateway().findResources('AWS::Lambda::Function'))).not.toContain('resolve:secretsmanager');
  });

  it('may invoke its own endpoint and component, and nothing else of SageMaker', () => {
    const sagemaker = statements(gateway()).filter(({ Action }) => [Action].flat().some((action) => action.startsWith('sagemaker:')));
    expect(sagemaker).toHaveLength(1);
    const arn = (resource: string) => `:sagemaker:eu-west-1:111111111111:${resource}`;
    expect(JSON.stringify(sagemaker[0]?.Resource)).toContain(arn(`endpoint/${model.endpoint.name}`));
    expect(JSON.stringify(sagemaker[0]?.Resource)).toContain(arn(`inference-component/${model.endpoint.inferenceComponent}`));
    expect([sagemaker[0]?.Resource].flat()).toHaveLength(2);
  });

  it('has a role without any managed policy, wildcard action or wildcard resource', () => {
    for (const role of Object.values(gateway().findResources('AWS::IAM::Role')))
      expect(role['Properties'].ManagedPolicyArns).toBeUndefined();
    for (const { Action, Resource } of statements(gateway())) {
      for (const action of [Action].flat()) expect(action).not.toContain('*');
      expect([Resource].flat()).not.toContain('*');
    }
  });

  it('is warm in production, and new code goes back by itself', () => {
    production('gateway-us-west-2').hasResourceProperties('AWS::Lambda::Alias', {
      ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 2 },
    });
    production('gateway-us-west-2').hasResourceProperties('AWS::CodeDeploy::DeploymentGroup', {
      DeploymentConfigName: 'CodeDeployDefault.LambdaCanary10Percent5Minutes',
      AlarmConfiguration: Match.objectLike({ Enabled: true, Alarms: [Match.anyValue()] }),
      AutoRollbackConfiguration: { Enabled: true, Events: Match.arrayWith(['DEPLOYMENT_STOP_ON_ALARM']) },
    });
  });
});

describe('the web function, by setting', () => {
  it('takes the place of the event function, with the same role and settings', async () => {
    await bundleFunction('web-function', join(bundles, 'web-function'));
    const web = await synthesise({ gateway: 'web' });
    const gateway = web('gateway-eu-west-1');
    gateway.resourceCountIs('AWS::Lambda::Url', 0);
    const [revision] = Object.values(gateway.findResources('AWS::Lambda::WebFunctionRevision'));
    expect(JSON.stringify(revision)).toContain('functions/gateway/index.mjs');
    for (const name of ['PENSTOCK_TABLE', 'PENSTOCK_ORIGIN_SECRET_ARN', 'PENSTOCK_API_KEY_ARN'])
      expect(JSON.stringify(revision)).toContain(name);
    gateway.hasResourceProperties('AWS::Lambda::WebFunctionEndpoint', Match.objectLike({ AuthType: Match.anyValue() }));
    const roleOf = (template: Template) =>
      template.findResources('AWS::IAM::Policy', { Properties: { PolicyName: Match.stringLikeRegexp('^RoleDefaultPolicy') } });
    expect(roleOf(gateway)).toEqual(roleOf(demo('gateway-eu-west-1')));
    expect(web('edge').toJSON()).toEqual(demo('edge').toJSON());
  });
});

describe('the data', () => {
  it('is one table of all regions, which can be set back to any second and is kept', () => {
    production('data').hasResource('AWS::DynamoDB::GlobalTable', {
      DeletionPolicy: 'Retain',
      Properties: Match.objectLike({
        TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
        Replicas: REGIONS.toReversed().map((Region) =>
          Match.objectLike({
            Region,
            PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
            DeletionProtectionEnabled: true,
          }),
        ),
      }),
    });
  });

  it('has the origin secret where the CDN and every gateway read it', () => {
    production('data').hasResourceProperties('AWS::SecretsManager::Secret', {
      Name: 'penstock/origin',
      ReplicaRegions: [{ Region: 'us-west-2' }, { Region: 'us-east-1' }],
    });
  });
});

describe('the edge', () => {
  it('adds the secret and neither keeps nor compresses anything', () => {
    demo('edge').hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: Match.objectLike({
        DefaultCacheBehavior: Match.objectLike({
          CachePolicyId: '4135ea2d-6df8-44a3-9df3-4b5a84be39ad', // AWS's CachingDisabled
          OriginRequestPolicyId: 'b689b0a8-53d0-40ab-baf2-68738e2966ac', // AWS's AllViewerExceptHostHeader
          ViewerProtocolPolicy: 'https-only',
          Compress: false,
          AllowedMethods: Match.arrayWith(['OPTIONS', 'POST']),
        }),
        Origins: [
          Match.objectLike({
            OriginCustomHeaders: [
              { HeaderName: ORIGIN_SECRET_HEADER, HeaderValue: '{{resolve:secretsmanager:penstock/origin:SecretString:::}}' },
            ],
          }),
        ],
      }),
    });
  });

  it('has the public name, TLS 1.2 and a firewall that looks into no body in production', () => {
    production('edge').hasResourceProperties('AWS::CloudFront::Distribution', {
      DistributionConfig: Match.objectLike({
        Aliases: [domain.name],
        WebACLId: Match.anyValue(),
        ViewerCertificate: Match.objectLike({ MinimumProtocolVersion: 'TLSv1.2_2021' }),
      }),
    });
    const [firewall] = Object.values(production('edge').findResources('AWS::WAFv2::WebACL'));
    expect(firewall?.['Properties'].Scope).toBe('CLOUDFRONT');
    const groups = firewall?.['Properties'].Rules.flatMap((rule: { Statement: { ManagedRuleGroupStatement?: { Name: string } } }) =>
      rule.Statement.ManagedRuleGroupStatement === undefined ? [] : [rule.Statement.ManagedRuleGroupStatement.Name],
    );
    expect(groups).not.toContain('AWSManagedRulesCommonRuleSet');
  });

  it('chooses among the regions only where there are several', () => {
    demo('edge').resourceCountIs('AWS::CloudFront::Function', 0);
    production('edge').resourceCountIs('AWS::CloudFront::Function', 1);
    const chooser = JSON.stringify(production('edge').findResources('AWS::CloudFront::Function'));
    for (const region of REGIONS)
      expect(chooser).toContain(`{"StackName":"penstock-gateway-${region}","Region":"${region}","OutputName":"Domain"}`);
  });
});

describe('the documents', () => {
  /** `npx vitest run --config test/vitest.config.ts --project infra -u` writes it anew. */
  it('list what is deployed', async () => {
    const page = `# What is deployed

Resources by stack. Written by \`test/infra/topology.test.ts\`, which fails when the stacks have something else.

## Profile demo, one region

${inventory(demo, ['data', 'weights-eu-west-1', 'inference-eu-west-1', 'gateway-eu-west-1', 'operations-eu-west-1', 'edge'])}
## Profile production, the first of two regions

${inventory(production, ['data', 'weights-eu-west-1', 'inference-eu-west-1', 'gateway-eu-west-1', 'operations-eu-west-1', 'edge'])}`;
    await expect(page).toMatchFileSnapshot(projectPath('docs/inventory.md'));
  });

  it('name only tests that exist', async () => {
    const page = await readFile(projectPath('docs/security.md'), 'utf8');
    const paths = [...page.matchAll(/`(test\/[\w./-]+)`/g)].map(([, path = '']) => path);
    expect(paths.length).toBeGreaterThan(10);
    for (const path of paths) expect(existsSync(projectPath(path)), path).toBe(true);
  });
});

function inventory(stacks: (stack: string) => Template, names: readonly string[]): string {
  return names
    .map((name) => {
      const types = Object.values<{ Type: string }>(stacks(name).toJSON()['Resources']).map(({ Type }) => Type);
      const rows = [...new Set(types)].sort().map((type) => `| ${type} | ${types.filter((each) => each === type).length} |`);
      return `### ${name}\n\n| type | count |\n| --- | --- |\n${rows.join('\n')}\n`;
    })
    .join('\n');
}

describe('the checks', () => {
  it('fail the synthesis when cdk-nag finds something that nobody explained', async () => {
    const open = (app: App) => void new Bucket(app.node.findChild('penstock-data'), 'Open');
    await expect(synthesise({}, catalog, open)).rejects.toThrow(/penstock-data\/Open[\s\S]*AwsSolutions-S10/);
  });

  it('fail the synthesis when CloudFormation would refuse a property', async () => {
    const wrong = (app: App) => void new CfnBucket(app.node.findChild('penstock-data'), 'Wrong', { bucketName: 'Not A Name' });
    await expect(synthesise({}, catalog, wrong)).rejects.toThrow(/Wrong/);
  });
});

describe('operations', () => {
  it('tells somebody when errors use up the budget too fast, in two windows each', () => {
    const composites = production('operations-eu-west-1').findResources('AWS::CloudWatch::CompositeAlarm');
    expect(Object.values(composites)).toHaveLength(2);
    for (const alarm of Object.values(composites)) expect(alarm['Properties'].AlarmActions).toHaveLength(1);
    production('operations-eu-west-1').hasResourceProperties('AWS::SNS::Subscription', { Protocol: 'email', Endpoint: 'ops@example.com' });
  });

  it('watches the spending once', () => {
    production('operations-eu-west-1').resourceCountIs('AWS::Budgets::Budget', 1);
    production('operations-us-west-2').resourceCountIs('AWS::Budgets::Budget', 0);
    demo('operations-eu-west-1').resourceCountIs('AWS::Budgets::Budget', 0);
  });

  it('has a runbook for every alarm that calls somebody or takes a deployment back', async () => {
    const page = await readFile(projectPath('docs/operations.md'), 'utf8');
    const anchors = new Set(
      [...page.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) =>
        title
          .toLowerCase()
          .replaceAll(/[^a-z0-9 -]/g, '')
          .replaceAll(' ', '-'),
      ),
    );
    const stacks = [production('operations-eu-west-1'), production('gateway-eu-west-1'), production('edge'), demo('inference-eu-west-1')];
    const texts = stacks.flatMap((stack) =>
      ['Alarm', 'CompositeAlarm'].flatMap((kind) =>
        Object.values(stack.findResources(`AWS::CloudWatch::${kind}`)).map((alarm) => String(alarm['Properties'].AlarmDescription ?? '')),
      ),
    );
    const runbooks = texts.flatMap((text) => /docs\/operations\.md#(\S+)/.exec(text)?.[1] ?? []);
    expect(runbooks.length).toBeGreaterThan(6);
    for (const runbook of runbooks) expect([...anchors]).toContain(runbook);
  });
});
