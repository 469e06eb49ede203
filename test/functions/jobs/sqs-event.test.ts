import { describe, expect, it } from 'vitest';
import { DeadlineError } from '../../../functions/gateway/errors.ts';
import { createSqsHandler } from '../../../functions/jobs/sqs-event.ts';

/** As AWS documents it: https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html */
const record = (messageId: string, body: string) => ({
  messageId,
  receiptHandle: 'AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a',
  body,
  attributes: {
    ApproximateReceiveCount: '1',
    SentTimestamp: '1545082649183',
    SenderId: 'AIDAIENQZJOLO23YVJ4VO',
    ApproximateFirstReceiveTimestamp: '1545082649185',
  },
  messageAttributes: {},
  md5OfBody: 'e4e68fb7bd0e697a0ae8f1bb342846b3',
  eventSource: 'aws:sqs',
  eventSourceARN: 'arn:aws:sqs:us-east-2:123456789012:my-queue',
  awsRegion: 'us-east-2',
});
const job = (messageId: string, generationId: string) => record(messageId, JSON.stringify({ generationId }));
const context = { getRemainingTimeInMillis: () => 60_000 };

describe('the function of the queue', () => {
  it('names the messages that are to come again, and no other', async () => {
    const logged: object[] = [];
    const handler = createSqsHandler(
      async (id) => {
        if (id === 'gen_bad') throw new RangeError('secret text');
      },
      { write: (_, event, fields) => logged.push({ event, ...fields }) },
    );
    const messages = [job('m1', 'gen_good'), job('m2', 'gen_bad'), job('m3', 'gen_good2')];
    expect(await handler({ Records: messages }, context)).toEqual({ batchItemFailures: [{ itemIdentifier: 'm2' }] });
    expect(logged).toEqual([{ event: 'job-failed', messageId: 'm2', error: 'RangeError' }]);
  });

  it('works on its messages side by side', async () => {
    const both = Promise.withResolvers<void>();
    let running = 0;
    const handler = createSqsHandler(
      async () => {
        running += 1;
        if (running === 2) both.resolve();
        await both.promise;
      },
      { write: () => undefined },
    );
    expect(await handler({ Records: [job('m1', 'gen_1'), job('m2', 'gen_2')] }, context)).toEqual({ batchItemFailures: [] });
  });

  it.each(['', 'no JSON', '{}', '{"generationId":7}', '{"generationId":"../../etc"}', '{"generationId":"gen_"}'])(
    'keeps a message that names no generation for a person: %s',
    async (body) => {
      const done: string[] = [];
      const handler = createSqsHandler(async (id) => void done.push(id), { write: () => undefined });
      expect(await handler({ Records: [record('m1', body)] }, context)).toEqual({ batchItemFailures: [{ itemIdentifier: 'm1' }] });
      expect(done).toEqual([]);
    },
  );

  it('tells its jobs shortly before the function`s time is up', async () => {
    const handler = createSqsHandler(
      (_, signal) =>
        new Promise((resolve, reject) =>
          signal.addEventListener('abort', () => (signal.reason instanceof DeadlineError ? resolve() : reject(signal.reason))),
        ),
      { write: () => undefined },
    );
    expect(await handler({ Records: [job('m1', 'gen_1')] }, { getRemainingTimeInMillis: () => 10_020 })).toEqual({ batchItemFailures: [] });
  });

  it('fails for an event that SQS does not send', async () => {
    await expect(createSqsHandler(async () => undefined, { write: () => undefined })({ rawPath: '/' }, context)).rejects.toThrow();
  });
});
