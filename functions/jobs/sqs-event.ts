/**
 * The bridge between Lambda's event source for SQS and a function that does one job: each message for itself, those that fail named in the answer,
 * so that they alone come again. https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html
 */
import * as v from 'valibot';
import { DeadlineError } from '../gateway/errors.ts';
import type { Log } from '../gateway/services.ts';

const eventSchema = v.object({ Records: v.array(v.object({ messageId: v.string(), body: v.string() })) });
const bodySchema = v.pipe(v.string(), v.parseJson(), v.object({ generationId: v.pipe(v.string(), v.regex(/^gen_[\w-]{1,128}$/)) }));

export interface SqsContext {
  getRemainingTimeInMillis(): number;
}

export interface SqsAnswer {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[];
}

/** How long before the function's timeout its jobs are ended, so that what they made is written down. */
const DEADLINE_MARGIN_MS = 10_000;

/**
 * @param doJob resolves when the job is done for good, rejects when it is to come again. Its signal is aborted with a `DeadlineError` shortly before
 * the function's timeout.
 * @throws (in the invocation) for an event that SQS does not send.
 */
export function createSqsHandler(doJob: (generationId: string, signal: AbortSignal) => Promise<void>, log: Log) {
  return async function answerEvent(event: unknown, context: SqsContext): Promise<SqsAnswer> {
    const { Records } = v.parse(eventSchema, event);
    const deadline = new AbortController();
    const left = Math.max(0, context.getRemainingTimeInMillis() - DEADLINE_MARGIN_MS);
    const timer = setTimeout(() => deadline.abort(new DeadlineError()), left);
    const attempt = async ({ messageId, body }: (typeof Records)[number]): Promise<string | undefined> => {
      try {
        await doJob(v.parse(bodySchema, body).generationId, deadline.signal);
        return undefined;
      } catch (error) {
        log.write('error', 'job-failed', { messageId, error: error instanceof Error ? error.name : 'unknown' });
        return messageId;
      }
    };
    const failed = await Promise.all(Records.map(attempt));
    clearTimeout(timer);
    return { batchItemFailures: failed.filter((id) => id !== undefined).map((itemIdentifier) => ({ itemIdentifier })) };
  };
}
