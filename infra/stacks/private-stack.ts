import { CfnOutput, Fn, Stack, type StackProps } from 'aws-cdk-lib';
import { CfnSecurityGroup, CfnSecurityGroupIngress, CfnVPCEndpoint } from 'aws-cdk-lib/aws-ec2';
import { CfnInstanceProfile, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import type { Settings } from '../config.ts';
import { IsolatedNetwork, NETWORK_RANGE } from '../constructs/isolated-network.ts';
import { allowEndpoints, allowTable, endpointArns } from '../constructs/pipeline-role.ts';
import type { EndpointPlan } from '../endpoint-plan.ts';
import { PRIVATE_SERVICES, tableName } from '../names.ts';

export interface PrivateStackProps extends StackProps {
  readonly settings: Settings;
  readonly endpoints: readonly EndpointPlan[];
}

/** Where `npm run gateway` listens, unless `PORT` says otherwise. */
const PORT = 8080;

/**
 * Where nothing may cross the internet: a network without a way in or out for gateways on machines of yours, with what they need of AWS inside of it.
 * It takes the place of the function, the public name and all that watches them.
 */
export class PrivateStack extends Stack {
  constructor(scope: Construct, id: string, { settings, endpoints, ...props }: PrivateStackProps) {
    super(scope, id, { ...props, description: 'Penstock: a private network for gateways' });
    const network = new IsolatedNetwork(this, 'Network');
    const { vpcId, subnetIds } = network;
    const gateways = new CfnSecurityGroup(this, 'Gateways', {
      vpcId,
      groupDescription: 'Gateways: called from inside the network, and call AWS by its endpoints',
      securityGroupIngress: [{ ipProtocol: 'tcp', fromPort: PORT, toPort: PORT, cidrIp: NETWORK_RANGE, description: 'Callers' }],
      securityGroupEgress: [
        {
          ipProtocol: 'tcp',
          fromPort: 443,
          toPort: 443,
          cidrIp: '0.0.0.0/0',
          description: 'Finds only the endpoints: there is no way out',
        },
      ],
    });
    const services = new CfnSecurityGroup(this, 'Services', { vpcId, groupDescription: 'Endpoints of AWS: called by gateways only' });
    new CfnSecurityGroupIngress(this, 'GatewaysCallServices', {
      groupId: services.attrGroupId,
      sourceSecurityGroupId: gateways.attrGroupId,
      ipProtocol: 'tcp',
      fromPort: 443,
      toPort: 443,
      description: 'Gateways',
    });
    // Nobody else's credentials take anything out by them.
    const policyDocument = {
      Version: '2012-10-17',
      Statement: [
        {
          Effect: 'Allow',
          Principal: '*',
          Action: '*',
          Resource: '*',
          Condition: { StringEquals: { 'aws:PrincipalAccount': this.account } },
        },
      ],
    };
    new CfnVPCEndpoint(this, 'DynamoDb', {
      vpcId,
      vpcEndpointType: 'Gateway',
      serviceName: `com.amazonaws.${this.region}.dynamodb`,
      routeTableIds: [network.routeTableId],
      policyDocument,
    });
    for (const service of PRIVATE_SERVICES) {
      new CfnVPCEndpoint(this, `Service-${service.replace('.', '-')}`, {
        vpcId,
        vpcEndpointType: 'Interface',
        serviceName: `com.amazonaws.${this.region}.${service}`,
        privateDnsEnabled: true,
        subnetIds,
        securityGroupIds: [services.attrGroupId],
        policyDocument,
      });
    }
    const role = this.#createRole(settings, endpoints);
    const profile = new CfnInstanceProfile(this, 'Profile', { roles: [role.roleName] });
    new CfnOutput(this, 'Vpc', { value: vpcId, description: 'The network: connect yours to it, or put a load balancer into it' });
    new CfnOutput(this, 'Subnets', { value: Fn.join(',', subnetIds), description: 'Where the machines of gateways belong' });
    new CfnOutput(this, 'SecurityGroup', { value: gateways.attrGroupId, description: 'What they belong to' });
    new CfnOutput(this, 'InstanceProfile', { value: profile.ref, description: 'What they may do' });
  }

  /** As the function's, without what only the function reads. */
  #createRole(settings: Settings, endpoints: readonly EndpointPlan[]): Role {
    const role = new Role(this, 'Role', {
      description: 'Penstock gateways on machines: their endpoints, their table',
      assumedBy: new ServicePrincipal('ec2.amazonaws.com'),
    });
    allowTable(role, this, tableName(settings));
    allowEndpoints(role, endpointArns(this, endpoints, { ...settings, regions: [this.region] })); // the others are out of reach
    return role;
  }
}
