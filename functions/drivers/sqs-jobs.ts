import { JobQueueUnavailableError } from '../gateway/errors.ts';
import type { JobQueue } from '../gateway/services.ts';
import { type AwsClientOptions, createAwsJsonClient } from './aws-json-client.ts';

const SQS = { name: 'sqs', target: 'AmazonSQS', version: '1.0' } as const;

/** A message is JSON with the generation's id: `functions/jobs` reads it. */
export function createSqsJobs(queueUrl: string, options: AwsClientOptions = {}): JobQueue {
  const client = createAwsJsonClient(SQS, options);
  return {
    async send(generationId, delaySeconds = 0) {
      try {
        const message = { QueueUrl: queueUrl, MessageBody: JSON.stringify({ generationId }) };
        await client.call('SendMessage', { ...message, ...(delaySeconds === 0 ? {} : { DelaySeconds: delaySeconds }) });
      } catch (error) {
        throw new JobQueueUnavailableError({ cause: error });
      }
    },
  };
}
