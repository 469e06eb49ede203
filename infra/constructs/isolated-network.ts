import { Fn, Stack } from 'aws-cdk-lib';
import { CfnRouteTable, CfnSubnet, CfnSubnetRouteTableAssociation, CfnVPC, CfnVPCEndpoint } from 'aws-cdk-lib/aws-ec2';
import { Construct } from 'constructs';
import { ZONES } from '../names.ts';

export const NETWORK_RANGE = '10.42.0.0/16';

/**
 * A network without a way in or out, but to S3. Made of plain resources, because CDK's `Vpc` asks AWS for the zones while it synthesises.
 */
export class IsolatedNetwork extends Construct {
  readonly subnetIds: string[];
  readonly vpcId: string;
  readonly routeTableId: string;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const stack = Stack.of(this);
    const vpc = new CfnVPC(this, 'Vpc', { cidrBlock: NETWORK_RANGE, enableDnsSupport: true, enableDnsHostnames: true });
    const routes = new CfnRouteTable(this, 'Routes', { vpcId: vpc.ref });
    this.vpcId = vpc.ref;
    this.routeTableId = routes.ref;
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
  }
}
