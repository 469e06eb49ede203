import { InvokeEndpointAsyncCommand, SageMakerRuntimeClient, type SageMakerRuntimeClientConfig } from '@aws-sdk/client-sagemaker-runtime';
import * as v from 'valibot';
import { parseInvocationErrorBody } from '../../models/invocation.ts';
import { EndpointUnavailableError } from '../gateway/errors.ts';
import type { Objects } from '../gateway/services/objects.ts';
import type { Clock, EndpointEvent, EndpointRequest, OfflineEndpoint } from '../gateway/services.ts';
import { CALL_TIMEOUTS } from './aws-call-limits.ts';
import { AnswerReader } from './sagemaker-endpoint-answer.ts';
import { awsFailure, containerFailure } from './sagemaker-endpoint-failure.ts';
import { encodeWholeBody } from './sagemaker-endpoint-request.ts';

/** Both are SageMaker's longest: how long a request may wait in its queue, and how long the container may take. */
const QUEUE_SECONDS = 6 * 3600;
const ANSWER_SECONDS = 3600;
/** After so long nothing comes any more: SageMaker drops what waited too long without a word in the bucket. */
const LONGEST_MS = (QUEUE_SECONDS + ANSWER_SECONDS) * 1000;

const JSON_TYPE = { contentType: 'application/json' };

const callSchema = v.object({ answerKey: v.string(), failureKey: v.string(), at: v.number() });

/**
 * An asynchronous endpoint of SageMaker (InvokeEndpointAsync). The request lies in a bucket, and so does what comes of it: the answer, or what the
 * container said instead. SageMaker names both when it is asked; that is written down once, beside the request, so that whichever process looks next
 * asks nobody again. Of two that ask at the same moment one is heard, and the other's answer is left to the bucket's lifecycle.
 * https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointAsync.html
 * @param bucket the name of the bucket that `objects` is.
 * @param options laid over the SDK's ordinary configuration (environment, profile, role), which is enough by itself.
 */
export function createSageMakerAsyncEndpoint(
  objects: Objects,
  bucket: string,
  clock: Clock,
  options: SageMakerRuntimeClientConfig = {},
): OfflineEndpoint {
  const client = new SageMakerRuntimeClient({ requestHandler: CALL_TIMEOUTS, ...options });
  const requestKey = (name: string) => `requests/${name}/request.json`;
  const callKey = (name: string) => `requests/${name}/call.json`;

  const findCall = async (name: string) => {
    const bytes = await objects.read(callKey(name));
    return bytes === undefined ? undefined : v.parse(callSchema, JSON.parse(decode(bytes)));
  };

  const ask = async (name: string, request: EndpointRequest): Promise<void> => {
    const { endpointName } = request.target;
    await objects.write(requestKey(name), encodeWholeBody(request), JSON_TYPE);
    const command = new InvokeEndpointAsyncCommand({
      EndpointName: endpointName,
      InputLocation: `s3://${bucket}/${requestKey(name)}`,
      ContentType: 'application/json',
      Accept: 'application/json',
      RequestTTLSeconds: QUEUE_SECONDS,
      InvocationTimeoutSeconds: ANSWER_SECONDS,
    });
    const { OutputLocation, FailureLocation } = await client.send(command).catch((error: unknown) => {
      throw awsFailure(error, endpointName, false);
    });
    const [answerKey, failureKey] = [OutputLocation, FailureLocation].map((location) => keyIn(bucket, location));
    if (answerKey === undefined || failureKey === undefined) {
      throw new EndpointUnavailableError('unreachable', endpointName, {
        cause: new Error(`It does not answer into the bucket ${bucket}.`),
      });
    }
    const call = JSON.stringify({ answerKey, failureKey, at: clock.now() } satisfies v.InferOutput<typeof callSchema>);
    await objects.write(callKey(name), Buffer.from(call), { ...JSON_TYPE, onlyIfAbsent: true });
  };

  return {
    async fetch(name, request) {
      const call = await findCall(name);
      if (call === undefined) {
        await ask(name, request);
        return undefined;
      }
      const { endpointName } = request.target;
      const answer = await objects.read(call.answerKey);
      if (answer !== undefined) return readAnswer(answer, request);
      const failure = await objects.read(call.failureKey);
      if (failure !== undefined) throw readFailure(decode(failure), endpointName);
      if (clock.now() - call.at > LONGEST_MS) throw new EndpointUnavailableError('stalled', endpointName);
      return undefined;
    },
    async forget(name) {
      const call = await findCall(name);
      const made = call === undefined ? [] : [call.answerKey, call.failureKey];
      // What says where the others are goes last.
      for (const key of [...made, requestKey(name), callKey(name)]) await objects.delete(key);
    },
  };
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** The key that a location (`s3://BUCKET/KEY`) has in this bucket. */
function keyIn(bucket: string, location: string | undefined): string | undefined {
  const start = `s3://${bucket}/`;
  return location?.startsWith(start) === true ? location.slice(start.length) : undefined;
}

function readAnswer(bytes: Uint8Array, { target: { endpointName }, topLogprobs }: EndpointRequest): readonly EndpointEvent[] {
  const reader = new AnswerReader({ contentType: 'application/json', endpointName, topLogprobs });
  return [...reader.push(bytes), ...reader.finish()];
}

/** SageMaker leaves the container's own words, or its own when the container gave none. */
function readFailure(text: string, endpointName: string): Error {
  let said: ReturnType<typeof parseInvocationErrorBody>;
  try {
    said = parseInvocationErrorBody(JSON.parse(text));
  } catch {
    said = undefined; // not the container's
  }
  return containerFailure(said?.code ?? 500, said?.message ?? '', endpointName);
}
