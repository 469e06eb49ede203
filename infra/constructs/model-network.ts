import { CfnSecurityGroup } from 'aws-cdk-lib/aws-ec2';
import type { Construct } from 'constructs';
import { IsolatedNetwork } from './isolated-network.ts';

/** For the model containers: they reach S3, from where SageMaker loads weights, and nothing else. */
export class ModelNetwork extends IsolatedNetwork {
  readonly securityGroupId: string;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    const group = new CfnSecurityGroup(this, 'Containers', {
      vpcId: this.vpcId,
      groupDescription: 'Model containers: nothing comes in, HTTPS goes out and finds only S3',
      securityGroupEgress: [
        { ipProtocol: 'tcp', fromPort: 443, toPort: 443, cidrIp: '0.0.0.0/0', description: 'S3 by the gateway endpoint' },
      ],
    });
    this.securityGroupId = group.attrGroupId;
  }
}
