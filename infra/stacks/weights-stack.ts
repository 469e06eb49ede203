import { CfnOutput, Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { Key } from 'aws-cdk-lib/aws-kms';
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';

/**
 * The models' weights of one region, in a stack of their own: an endpoint reads its weights while it is created, so they have to be there
 * before the stack of the endpoints is deployed.
 */
export class WeightsStack extends Stack {
  readonly bucket: Bucket;
  readonly key: Key;

  constructor(scope: Construct, id: string, props: StackProps) {
    super(scope, id, { ...props, description: 'Penstock: model weights' });
    this.key = new Key(this, 'Key', {
      description: 'Penstock model weights and the storage of endpoints',
      enableKeyRotation: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
    this.bucket = new Bucket(this, 'Weights', {
      encryption: BucketEncryption.KMS,
      encryptionKey: this.key,
      bucketKeyEnabled: true,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      versioned: true,
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [{ noncurrentVersionExpiration: Duration.days(30), abortIncompleteMultipartUploadAfter: Duration.days(2) }],
    });
    new CfnOutput(this, 'WeightsBucket', {
      value: this.bucket.bucketName,
      description: 'npm run weights -- upload copies weights into it',
    });
  }
}
