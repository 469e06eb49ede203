import { type AwsClientOptions, createAwsJsonClient } from '../../functions/drivers/aws-json-client.ts';

interface SqsMessage {
  readonly MessageId: string;
  readonly Body: string;
}

export interface TestQueue {
  readonly url: string;
  /** What waits, as Lambda gives it to the function of the queue. https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html */
  receiveEvent(): Promise<{ readonly Records: readonly { readonly messageId: string; readonly body: string }[] }>;
}

/** A queue on a server that speaks SQS. */
export async function createTestQueue(client: AwsClientOptions, name: string): Promise<TestQueue> {
  const sqs = createAwsJsonClient({ name: 'sqs', target: 'AmazonSQS', version: '1.0' }, client);
  const { QueueUrl } = await sqs.call<{ QueueUrl: string }>('CreateQueue', { QueueName: name });
  return {
    url: QueueUrl,
    async receiveEvent() {
      const { Messages = [] } = await sqs.call<{ Messages?: SqsMessage[] }>('ReceiveMessage', { QueueUrl, MaxNumberOfMessages: 10 });
      return {
        Records: Messages.map(({ MessageId, Body }) => ({
          messageId: MessageId,
          receiptHandle: 'handle',
          body: Body,
          attributes: { ApproximateReceiveCount: '1' },
          messageAttributes: {},
          eventSource: 'aws:sqs',
          eventSourceARN: `arn:aws:sqs:us-east-1:123456789012:${name}`,
          awsRegion: 'us-east-1',
        })),
      };
    },
  };
}
