import { RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { AttributeType, Billing, TableEncryptionV2, TableV2 } from 'aws-cdk-lib/aws-dynamodb';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { Construct } from 'constructs';
import { profileOf, type Settings } from '../config.ts';
import { EDGE_REGION, firstApiKeyName, originSecretName, tableName } from '../names.ts';

export interface DataStackProps extends StackProps {
  readonly settings: Settings;
}

/** What outlives everything else: the table of all regions, and the secrets. Kept when the stack is deleted. */
export class DataStack extends Stack {
  constructor(scope: Construct, id: string, { settings, ...props }: DataStackProps) {
    super(scope, id, { ...props, description: 'Penstock: table and secrets of all regions' });
    const others = settings.regions.filter((region) => region !== this.region);
    const { deletionProtection } = profileOf(settings);
    new TableV2(this, 'Table', {
      tableName: tableName(settings),
      partitionKey: { name: 'partition', type: AttributeType.STRING },
      sortKey: { name: 'sort', type: AttributeType.STRING },
      timeToLiveAttribute: 'expiresAt',
      billing: Billing.onDemand(),
      // AWS's own key of each region: a key of ours would have to exist in every region of the table.
      encryption: TableEncryptionV2.awsManagedKey(),
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection,
      removalPolicy: RemovalPolicy.RETAIN,
      replicas: others.map((region) => ({ region, deletionProtection })),
    });
    // CloudFront's stack reads the origin secret where it is deployed, and each gateway reads its region's replica.
    const everywhere = [...new Set([...others, EDGE_REGION])].filter((region) => region !== this.region);
    this.#createSecret('OriginSecret', originSecretName(settings), everywhere, 'What the CDN adds to each request');
    this.#createSecret('FirstApiKey', firstApiKeyName(settings), others, 'The first API key, which makes the others');
  }

  #createSecret(id: string, secretName: string, regions: readonly string[], description: string): void {
    new Secret(this, id, {
      secretName,
      description,
      generateSecretString: { passwordLength: 48, excludePunctuation: true },
      replicaRegions: regions.map((region) => ({ region })),
    });
  }
}
