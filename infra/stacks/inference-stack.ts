import { Duration, RemovalPolicy, Stack, type StackProps } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { Key } from 'aws-cdk-lib/aws-kms';
import { BlockPublicAccess, Bucket, BucketEncryption } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { type ContainerDigests, containerRepositories } from '../constructs/model-container.ts';
import { ModelEndpoint } from '../constructs/model-endpoint.ts';
import { ModelNetwork } from '../constructs/model-network.ts';
import type { EndpointPlan } from '../endpoint-plan.ts';

export interface InferenceStackProps extends StackProps {
  readonly endpoints: readonly EndpointPlan[];
  /** The region's weights, there before the endpoints are. */
  readonly weights: Bucket;
  /** Encrypts them, and the storage of endpoints. */
  readonly key: Key;
  readonly digests: ContainerDigests;
}

/** Where the jobs put what they ask asynchronous endpoints: `functions/drivers/sagemaker-async-endpoint.ts` writes there. */
const REQUESTS_PREFIX = 'requests/';

/** Where answers are generated: the GPU endpoints of one region. */
export class InferenceStack extends Stack {
  /** Where asynchronous endpoints find requests and leave answers; `undefined` when the catalog has no such endpoint. */
  readonly results: Bucket | undefined;

  constructor(scope: Construct, id: string, { endpoints, weights, key, digests, ...props }: InferenceStackProps) {
    super(scope, id, { ...props, description: 'Penstock: SageMaker endpoints' });
    const role = new Role(this, 'ModelRole', {
      description: 'Reads weights and pulls the container image of Penstock endpoints',
      assumedBy: new ServicePrincipal('sagemaker.amazonaws.com'),
    });
    role.addToPolicy(new PolicyStatement({ actions: ['s3:ListBucket'], resources: [weights.bucketArn] }));
    for (const { components } of endpoints) {
      const prefixes = components.map(({ deployment }) => weights.arnForObjects(`${deployment.artifactPrefix}*`));
      const artifacts = components.flatMap(({ adapters }) => adapters.map(({ adapter }) => weights.arnForObjects(adapter.artifact)));
      role.addToPolicy(new PolicyStatement({ actions: ['s3:GetObject'], resources: [...prefixes, ...artifacts] }));
    }
    const results = this.#createResults(endpoints, key);
    this.results = results;
    if (results !== undefined) {
      role.addToPolicy(new PolicyStatement({ actions: ['s3:PutObject'], resources: [results.arnForObjects('*')] }));
      role.addToPolicy(new PolicyStatement({ actions: ['s3:GetObject'], resources: [results.arnForObjects(`${REQUESTS_PREFIX}*`)] }));
      role.addToPolicy(new PolicyStatement({ actions: ['s3:ListBucket'], resources: [results.bucketArn] }));
    }
    role.addToPolicy(new PolicyStatement({ actions: ['kms:Decrypt', 'kms:GenerateDataKey', 'kms:CreateGrant'], resources: [key.keyArn] }));
    role.addToPolicy(
      new PolicyStatement({
        actions: ['ecr:BatchGetImage', 'ecr:GetDownloadUrlForLayer', 'ecr:BatchCheckLayerAvailability'],
        resources: containerRepositories(this.partition, this.region),
      }),
    );
    role.addToPolicy(new PolicyStatement({ actions: ['ecr:GetAuthorizationToken'], resources: ['*'] })); // ECR knows no narrower one
    role.addToPolicy(
      new PolicyStatement({
        actions: ['logs:CreateLogGroup', 'logs:CreateLogStream', 'logs:PutLogEvents'],
        resources: [`arn:${this.partition}:logs:${this.region}:${this.account}:log-group:/aws/sagemaker/*`],
      }),
    );
    role.addToPolicy(
      new PolicyStatement({
        actions: ['cloudwatch:PutMetricData'],
        resources: ['*'], // CloudWatch narrows by namespace only
        conditions: { StringEquals: { 'cloudwatch:namespace': '/aws/sagemaker/InferenceComponents' } },
      }),
    );
    role.addToPolicy(
      new PolicyStatement({
        actions: ['VpcEndpoints', 'DhcpOptions', 'Vpcs', 'Subnets', 'SecurityGroups', 'NetworkInterfaces'].map(
          (what) => `ec2:Describe${what}`,
        ),
        resources: ['*'], // EC2 describes without resources
      }),
    );
    role.addToPolicy(
      new PolicyStatement({
        actions: [
          'ec2:CreateNetworkInterface',
          'ec2:CreateNetworkInterfacePermission',
          'ec2:DeleteNetworkInterface',
          'ec2:DeleteNetworkInterfacePermission',
        ],
        resources: ['network-interface', 'subnet', 'security-group'].map((kind) =>
          this.formatArn({ service: 'ec2', resource: kind, resourceName: '*' }),
        ),
      }),
    );
    const network = new ModelNetwork(this, 'Network');
    for (const endpoint of endpoints) {
      new ModelEndpoint(this, endpoint.name, { plan: endpoint, weights, results, key, role, network, digests });
    }
  }

  /** Requests and answers of asynchronous endpoints. Whoever fetches an answer deletes both; what nobody fetches goes after a week. */
  #createResults(endpoints: readonly EndpointPlan[], key: Key): Bucket | undefined {
    const isNeeded = endpoints.some(({ components }) => components.some(({ deployment }) => deployment.asynchronous !== undefined));
    if (!isNeeded) return undefined;
    return new Bucket(this, 'Results', {
      encryption: BucketEncryption.KMS,
      encryptionKey: key,
      bucketKeyEnabled: true,
      blockPublicAccess: BlockPublicAccess.BLOCK_ALL,
      enforceSSL: true,
      removalPolicy: RemovalPolicy.RETAIN,
      lifecycleRules: [{ expiration: Duration.days(7), abortIncompleteMultipartUploadAfter: Duration.days(1) }],
    });
  }
}
