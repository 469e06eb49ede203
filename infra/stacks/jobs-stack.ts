import { Duration, Stack, type StackProps } from 'aws-cdk-lib';
import type { Role } from 'aws-cdk-lib/aws-iam';
import type { Key } from 'aws-cdk-lib/aws-kms';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import { Queue, QueueEncryption } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import type { Settings } from '../config.ts';
import { createEventFunction, createFunctionLog } from '../constructs/event-function.ts';
import { createModelFilesLayer, MODEL_FILES_ENVIRONMENT } from '../constructs/model-files-layer.ts';
import { allow, allowSwitches, asyncEndpointArns, createPipelineRole, endpointArns, otherRegions } from '../constructs/pipeline-role.ts';
import type { EndpointPlan } from '../endpoint-plan.ts';
import { WHOLE_CPU_MB } from '../function-memory.ts';
import { failedJobsName, jobsName, switchesName, tableName } from '../names.ts';

export interface JobsStackProps extends StackProps {
  readonly settings: Settings;
  readonly endpoints: readonly EndpointPlan[];
  readonly bundlesFolder: string;
  /** Where asynchronous endpoints find requests and leave answers, and what encrypts it. */
  readonly offline: { readonly bucket: Bucket; readonly key: Key } | undefined;
}

/** Lambda's longest: ten minutes for a model that starts, and as long as a short answer takes. */
const TIMEOUT = Duration.minutes(15);
const MAX_WAIT_SECONDS = 600;
/** A job comes again when its function has certainly ended. */
const VISIBILITY = Duration.seconds(TIMEOUT.toSeconds() + 60);
/** Answers are waited for rather than computed, so one function makes several. */
const JOBS_PER_FUNCTION = 5;
const MOST_FUNCTIONS = 20;
/** So often it is tried; then somebody has to look at it. */
const TRIES = 3;

/** What outlives a request: background responses, from a queue. A message is the name of a generation; what it says stays in the table. */
export class JobsStack extends Stack {
  constructor(scope: Construct, id: string, { settings, endpoints, bundlesFolder, offline, ...props }: JobsStackProps) {
    super(scope, id, { ...props, description: 'Penstock: answers that nobody waits for' });
    const failed = new Queue(this, 'Failed', {
      queueName: failedJobsName(settings),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      retentionPeriod: Duration.days(14),
    });
    const queue = new Queue(this, 'Queue', {
      queueName: jobsName(settings),
      encryption: QueueEncryption.SQS_MANAGED,
      enforceSSL: true,
      visibilityTimeout: VISIBILITY,
      retentionPeriod: Duration.days(1), // as long as the answers' logs are kept
      deadLetterQueue: { queue: failed, maxReceiveCount: TRIES },
    });
    const logs = createFunctionLog(this, settings);
    const role = createPipelineRole(this, {
      description: 'Penstock jobs: their queue, their endpoints, their table, their log',
      tableName: tableName(settings),
      logs,
    });
    allow(role, ['sagemaker:InvokeEndpointWithResponseStream'], endpointArns(this, endpoints, settings));
    allowSwitches(role, this, settings);
    if (offline !== undefined) this.#allowOffline(role, queue, endpoints, offline);
    const worker = createEventFunction(this, 'Worker', {
      functionName: jobsName(settings),
      description: 'Penstock background responses',
      bundlesFolder,
      bundle: 'jobs-function',
      memoryMb: WHOLE_CPU_MB,
      timeout: TIMEOUT,
      layers: [createModelFilesLayer(this)],
      role,
      logs,
      environment: {
        ...MODEL_FILES_ENVIRONMENT,
        ...otherRegions(this, settings),
        PENSTOCK_TABLE: tableName(settings),
        PENSTOCK_SWITCHES_PARAMETER: switchesName(settings),
        MAX_WAIT_SECONDS: String(MAX_WAIT_SECONDS),
        ...(offline === undefined ? {} : { PENSTOCK_OFFLINE_BUCKET: offline.bucket.bucketName, PENSTOCK_JOBS_QUEUE: queue.queueUrl }),
      },
    });
    // One that fails comes again by itself, without those that were in its batch.
    const source = new SqsEventSource(queue, {
      batchSize: JOBS_PER_FUNCTION,
      maxConcurrency: MOST_FUNCTIONS,
      reportBatchItemFailures: true,
    });
    worker.addEventSource(source);
  }

  /** To ask asynchronous endpoints, to look for their answers, and to put what is not there yet back into the queue. */
  #allowOffline(
    role: Role,
    queue: Queue,
    endpoints: readonly EndpointPlan[],
    { bucket, key }: NonNullable<JobsStackProps['offline']>,
  ): void {
    allow(role, ['sagemaker:InvokeEndpointAsync'], asyncEndpointArns(this, endpoints));
    allow(role, ['s3:GetObject', 's3:PutObject', 's3:DeleteObject'], [bucket.arnForObjects('*')]);
    allow(role, ['s3:ListBucket'], [bucket.bucketArn]); // without it a key that is not there looks forbidden
    allow(role, ['kms:Decrypt', 'kms:GenerateDataKey'], [key.keyArn]);
    allow(role, ['sqs:SendMessage'], [queue.queueArn]);
  }
}
