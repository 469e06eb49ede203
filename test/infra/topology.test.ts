import type { App } from 'aws-cdk-lib';
import { Match, type Template } from 'aws-cdk-lib/assertions';
import { Bucket, CfnBucket } from 'aws-cdk-lib/aws-s3';
import { beforeAll, describe, expect, it } from 'vitest';
import { ENVIRONMENT } from '../../functions/gateway/environment.ts';
import { PUBLIC_HOST_HEADER } from '../../functions/gateway/middleware/public-origin.ts';
import { ORIGIN_SECRET_HEADER } from '../../functions/gateway/middleware/verify-origin.ts';
import { projectPath } from '../../infra/project-path.ts';
import { catalog, type ServedModel } from '../../models/catalog.ts';
import { DOMAIN, REGIONS, type Stacks, statementsOf, synthesise, synthesiseProduction } from '../support/synthesise-stacks.ts';

const [model] = catalog as readonly [ServedModel]; // the catalog is never empty

let demo: Stacks;
let production: Stacks;

beforeAll(async () => {
  demo = await synthesise({});
  production = await synthesiseProduction();
});

describe('the gateway', () => {
  const gateway = () => demo('gateway-eu-west-1');

  it('streams its answers', () => {
    gateway().hasResourceProperties('AWS::Lambda::Url', { InvokeMode: 'RESPONSE_STREAM', AuthType: 'NONE', Qualifier: 'live' });
    gateway().hasResourceProperties('AWS::Lambda::Function', { Runtime: 'nodejs24.x', Architectures: ['arm64'], Handler: 'index.handler' });
  });

  it('counts tokens of GPT models too', () => {
    const [encodings] = Object.entries(demo('gateway-eu-west-1').findResources('AWS::Lambda::LayerVersion')).flatMap(
      ([id, { Properties }]) => (Properties.Description === 'Compiled encodings of GPT models' ? [id] : []),
    );
    demo('gateway-eu-west-1').hasResourceProperties('AWS::Lambda::Function', {
      Layers: Match.arrayWith([{ Ref: encodings }]),
      Environment: { Variables: Match.objectLike({ PENSTOCK_ENCODINGS: '/opt/encodings' }) },
    });
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

  it('may invoke its own endpoint and component, look at the component, and nothing else of SageMaker', () => {
    const isOf = (name: string) => (statement: { Action: string | readonly string[] }) =>
      [statement.Action].flat().some((action) => action.startsWith(`sagemaker:${name}`));
    const resourcesOf = (name: string) =>
      statementsOf(gateway())
        .filter(isOf(name))
        .flatMap(({ Resource }) => Resource)
        .map((each) => JSON.stringify(each));
    const arn = (resource: string) => expect.stringContaining(`:sagemaker:eu-west-1:111111111111:${resource}`);
    const component = arn(`inference-component/${model.endpoint.inferenceComponent}`);
    expect(resourcesOf('Invoke')).toEqual([arn(`endpoint/${model.endpoint.name}`), component]);
    expect(resourcesOf('Describe')).toEqual([component]);
    expect(statementsOf(gateway()).filter(isOf(''))).toHaveLength(2);
  });

  it('knows the endpoints of the other regions, and may invoke them', () => {
    for (const [own, other] of [REGIONS, REGIONS.toReversed()]) {
      for (const kind of ['gateway', 'jobs']) {
        const template = production(`${kind}-${own}`);
        const [lambda] = Object.values(template.findResources('AWS::Lambda::Function'));
        expect(lambda?.['Properties'].Environment.Variables.PENSTOCK_OTHER_REGIONS).toBe(other);
        const text = JSON.stringify(statementsOf(template));
        for (const region of REGIONS) expect(text).toContain(`:sagemaker:${region}:111111111111:endpoint/${model.endpoint.name}`);
      }
    }
  });

  it('has a role without any managed policy, wildcard action or wildcard resource', () => {
    for (const role of Object.values(gateway().findResources('AWS::IAM::Role')))
      expect(role['Properties'].ManagedPolicyArns).toBeUndefined();
    for (const { Action, Resource } of statementsOf(gateway())) {
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

describe('a setting', () => {
  it('keeps gateways warm in place of what the profile says', async () => {
    const warm = await synthesise({ provisionedConcurrency: 3 });
    warm('gateway-eu-west-1').hasResourceProperties('AWS::Lambda::Alias', {
      ProvisionedConcurrencyConfig: { ProvisionedConcurrentExecutions: 3 },
    });
    demo('gateway-eu-west-1').hasResourceProperties('AWS::Lambda::Alias', { ProvisionedConcurrencyConfig: Match.absent() });
  });

  it('says which answers can be read again, to either kind of gateway', async () => {
    const event = (await synthesise({ keepAnswers: 'never' }))('gateway-eu-west-1');
    event.hasResourceProperties('AWS::Lambda::Function', { Environment: { Variables: Match.objectLike({ KEEP_ANSWERS: 'never' }) } });
    const web = (await synthesise({ keepAnswers: 'never', gateway: 'web' }))('gateway-eu-west-1');
    expect(JSON.stringify(web.findResources('AWS::Lambda::WebFunctionRevision'))).toContain('"KEEP_ANSWERS":"never"');
    expect(JSON.stringify(demo('gateway-eu-west-1').toJSON())).not.toContain('KEEP_ANSWERS');
  });
});

describe('the web function, by setting', () => {
  it('takes the place of the event function, with the same role and settings', async () => {
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
        Aliases: [DOMAIN.name],
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

  it('tells the gateway the host that was called, and chooses among the regions only where there are several', () => {
    for (const stacks of [demo, production]) {
      stacks('edge').hasResourceProperties('AWS::CloudFront::Distribution', {
        DistributionConfig: Match.objectLike({
          DefaultCacheBehavior: Match.objectLike({ FunctionAssociations: [Match.objectLike({ EventType: 'viewer-request' })] }),
        }),
      });
      expect(JSON.stringify(stacks('edge').findResources('AWS::CloudFront::Function'))).toContain(PUBLIC_HOST_HEADER);
    }
    demo('edge').resourceCountIs('AWS::CloudFront::KeyValueStore', 0);
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

${inventory(demo, ['data', 'weights-eu-west-1', 'inference-eu-west-1', 'jobs-eu-west-1', 'gateway-eu-west-1', 'operations-eu-west-1', 'edge'])}
## Profile production, the first of two regions

${inventory(production, ['data', 'weights-eu-west-1', 'inference-eu-west-1', 'jobs-eu-west-1', 'gateway-eu-west-1', 'operations-eu-west-1', 'edge', 'canary-eu-west-1'])}`;
    await expect(page).toMatchFileSnapshot(projectPath('docs/inventory.md'));
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

describe('a second deployment', () => {
  it('has nothing to do: the same settings and catalog give the same templates', async () => {
    const again = await synthesiseProduction();
    const kinds = ['weights', 'inference', 'jobs', 'gateway', 'operations', 'canary'];
    for (const stack of ['data', 'edge', ...kinds.flatMap((kind) => REGIONS.map((region) => `${kind}-${region}`))])
      expect(again(stack).toJSON(), stack).toEqual(production(stack).toJSON());
  });
});

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
