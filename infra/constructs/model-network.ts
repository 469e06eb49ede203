import { Fn, Stack } from 'aws-cdk-lib';
import { CfnRouteTable, CfnSecurityGroup, CfnSubnet, CfnSubnetRouteTableAssociation, CfnVPC, CfnVPCEndpoint } from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';

const ZONES = 2;

/**
 * A network without a way out, for the model containers: they reach S3, from where SageMaker loads weights, and nothing else. Made of plain
 * resources, because CDK's `Vpc` asks AWS for the zones while it synthesises.
 */
export class ModelNetwork extends Construct {
  readonly subnetIds: string[];
  readonly securityGroupId: string;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const stack = Stack.of(this);
    const vpc = new CfnVPC(this, 'Vpc', { cidrBlock: '10.42.0.0/16', enableDnsSupport: true, enableDnsHostnames: true });
    const routes = new CfnRouteTable(this, 'Routes', { vpcId: vpc.ref });
    this.subnetIds = Array.from({ length: ZONES }, (_, zone) => {
      const subnet = new CfnSubnet(this, `Subnet${zone}`, {
        vpcId: vpc.ref,
        cidrBlock: `10.42.${zone * 16}.0/20`,
        availabilityZone: Fn.select(zone, Fn.getAzs()),
      });
      new CfnSubnetRouteTableAssociation(this, `Routes${zone}`, { subnetId: subnet.ref, routeTableId: routes.ref });
      return subnet.ref;
    });
    new CfnVPCEndpoint(this, 'S3', {
      vpcId: vpc.ref,
      vpcEndpointType: 'Gateway',
      serviceName: `com.amazonaws.${stack.region}.s3`,
      routeTableIds: [routes.ref],
    });
    const group = new CfnSecurityGroup(this, 'Containers', {
      vpcId: vpc.ref,
      groupDescription: 'Model containers: nothing comes in, HTTPS goes out and finds only S3',
      securityGroupEgress: [
        { ipProtocol: 'tcp', fromPort: 443, toPort: 443, cidrIp: '0.0.0.0/0', description: 'S3 by the gateway endpoint' },
      ],
    });
    this.securityGroupId = group.attrGroupId;
  }
}
