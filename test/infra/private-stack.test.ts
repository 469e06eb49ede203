import { type App, Stack } from 'aws-cdk-lib';
import { Match, Template } from 'aws-cdk-lib/assertions';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Settings } from '../../infra/config.ts';
import { estimateIdleCost } from '../../infra/estimate-cost.ts';
import { planEndpoints } from '../../infra/plan-endpoints.ts';
import { catalog, type ServedModel } from '../../models/catalog.ts';
import { DIGEST, REGIONS, type Stacks, statementsOf, synthesise } from '../support/synthesise-stacks.ts';

const [model] = catalog as readonly [ServedModel]; // the catalog is never empty

let stacks: Stacks;
let everything: readonly Template[];
let names: readonly string[];
beforeAll(async () => {
  let made: App | undefined;
  const settings = { profile: 'production', regions: REGIONS, containerDigests: { vllm: DIGEST }, privateNetwork: true } as const;
  stacks = await synthesise(settings, catalog, (app) => {
    made = app;
  });
  const all = made?.node.children.filter((child) => child instanceof Stack) ?? [];
  names = all.map(({ stackName }) => stackName);
  everything = all.map((stack) => Template.fromStack(stack));
});

describe('a private network, by setting', () => {
  it('takes the place of every stack with a function or a public name', () => {
    const kinds = ['inference', 'private', 'weights'];
    expect(names.toSorted()).toEqual(['penstock-data', ...kinds.flatMap((kind) => REGIONS.map((region) => `penstock-${kind}-${region}`))]);
  });

  it('has nothing that the internet reaches, and nothing that reaches it', () => {
    const open = [
      'EC2::InternetGateway',
      'EC2::NatGateway',
      'EC2::EgressOnlyInternetGateway',
      'EC2::VPCGatewayAttachment',
      'EC2::VPCPeeringConnection',
    ];
    const published = [
      'Lambda::Function',
      'Lambda::Url',
      'Lambda::WebFunction',
      'CloudFront::Distribution',
      'ElasticLoadBalancingV2::LoadBalancer',
    ];
    for (const template of everything) for (const type of [...open, ...published]) template.resourceCountIs(`AWS::${type}`, 0);
    const [routes] = Object.keys(stacks('private-eu-west-1').findResources('AWS::EC2::RouteTable'));
    expect(routes).toBeDefined();
    stacks('private-eu-west-1').resourceCountIs('AWS::EC2::Route', 0);
    stacks('private-eu-west-1').allResourcesProperties('AWS::EC2::Subnet', { MapPublicIpOnLaunch: Match.absent() });
  });

  it('has what a gateway calls inside of it, for credentials of the account only', () => {
    const endpoints = Object.values(stacks('private-us-west-2').findResources('AWS::EC2::VPCEndpoint')).map((each) => each['Properties']);
    expect(endpoints.map(({ ServiceName }) => ServiceName).sort()).toEqual(
      ['dynamodb', 'logs', 's3', 'sagemaker.api', 'sagemaker.runtime'].map((service) => `com.amazonaws.us-west-2.${service}`),
    );
    for (const { VpcEndpointType, PrivateDnsEnabled, PolicyDocument, ServiceName } of endpoints) {
      if (VpcEndpointType === 'Interface') expect(PrivateDnsEnabled).toBe(true); // the SDK's own names lead there
      if (ServiceName.endsWith('.s3')) continue; // AWS's own buckets are in it too
      expect(PolicyDocument.Statement).toEqual([
        expect.objectContaining({ Effect: 'Allow', Condition: { StringEquals: { 'aws:PrincipalAccount': '111111111111' } } }),
      ]);
    }
  });

  it('lets callers of the network reach gateways, and only gateways reach AWS', () => {
    const template = stacks('private-eu-west-1');
    template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupIngress: [Match.objectLike({ FromPort: 8080, ToPort: 8080, CidrIp: '10.42.0.0/16' })],
      SecurityGroupEgress: [Match.objectLike({ FromPort: 443, ToPort: 443 })],
    });
    const [ingress] = Object.values(template.findResources('AWS::EC2::SecurityGroupIngress')).map((each) => each['Properties']);
    const [gateways, services] = Object.keys(template.findResources('AWS::EC2::SecurityGroup'));
    expect(ingress).toMatchObject({
      SourceSecurityGroupId: { 'Fn::GetAtt': [gateways, 'GroupId'] },
      GroupId: { 'Fn::GetAtt': [services, 'GroupId'] },
      FromPort: 443,
    });
  });

  it('has a role for machines that reads and writes the table and calls the endpoints of its own region', () => {
    const template = stacks('private-us-west-2');
    const trust = Object.values(template.findResources('AWS::IAM::Role')).map(({ Properties }) =>
      JSON.stringify(Properties.AssumeRolePolicyDocument),
    );
    expect(trust).toEqual([expect.stringContaining('ec2.amazonaws.com')]);
    const services = statementsOf(template)
      .flatMap(({ Action }) => [Action].flat())
      .map((action) => action.split(':')[0]);
    expect([...new Set(services)]).toEqual(['dynamodb', 'sagemaker']);
    for (const { Action, Resource } of statementsOf(template)) {
      for (const action of [Action].flat()) expect(action).not.toContain('*');
      for (const resource of [Resource].flat()) expect(JSON.stringify(resource)).toContain(':us-west-2:111111111111:');
    }
    expect(JSON.stringify(statementsOf(template))).toContain(`endpoint/${model.endpoint.name}`);
    template.resourceCountIs('AWS::IAM::InstanceProfile', 1);
  });

  it('says what its endpoints cost, and nothing of what it goes without', async () => {
    const settings: Settings = {
      name: 'penstock',
      profile: 'production',
      account: '111111111111',
      regions: ['eu-west-1'],
      privateNetwork: true,
    };
    const lines = await estimateIdleCost(settings, planEndpoints(catalog, { regions: settings.regions, leastCopies: 1 }), async () => 1);
    const dollars = (what: string) => lines.find((line) => line.what === what)?.dollars;
    const interfaces = Object.values(
      stacks('private-eu-west-1').findResources('AWS::EC2::VPCEndpoint', { Properties: { VpcEndpointType: 'Interface' } }),
    );
    const zones = interfaces.reduce((sum, { Properties }) => sum + Properties.SubnetIds.length, 0);
    expect(dollars('private endpoints of AWS')).toBeCloseTo(zones * 0.01 * 730, 6);
    for (const gone of ['firewall', 'probe', 'composite alarms', 'alarms of the canary']) expect(dollars(gone)).toBeUndefined();
  });

  it('is refused with a public name', async () => {
    const domain = { name: 'api.example.com', certificateArn: 'arn:aws:acm:us-east-1:111111111111:certificate/0' };
    await expect(synthesise({ privateNetwork: true, domain })).rejects.toThrow(/privateNetwork goes without domain and gateway/);
  });
});
