/**
 * Calls that are answered into a bucket: taken at once, made when a copy is free, as SageMaker's asynchronous endpoints do. Requests and answers lie in
 * whatever speaks S3 at `objectsUrl`. https://docs.aws.amazon.com/sagemaker/latest/dg/async-inference.html
 */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { RuntimeConfig } from './config.ts';
import { readText } from './container-call.ts';
import { callFirstThatAnswers, failBeforeAnswer, type Surroundings } from './invocation.ts';
import { RuntimeError } from './runtime-error.ts';

/** How often a waiting call looks for a free copy. */
const LOOK_MS = 50;
const LONGEST_ANSWER_BYTES = 1024 ** 3;

export interface AsyncInvocation {
  readonly endpointName: string;
  readonly headers: IncomingHttpHeaders;
}

/**
 * Takes one call; its answer is made after this.
 * @throws {RuntimeError} the call cannot be taken.
 */
export async function takeAsyncInvocation(
  { endpointName, headers }: AsyncInvocation,
  response: ServerResponse,
  surroundings: Surroundings,
) {
  const { config, faults, random } = surroundings;
  const endpoint = surroundings.endpoints.get(endpointName);
  const paths = config.endpoints[endpointName]?.asynchronous;
  if (endpoint === undefined) throw new RuntimeError('ValidationError', `Endpoint ${endpointName} of account 000000000000 not found.`);
  if (paths === undefined) throw new RuntimeError('ValidationError', `Endpoint ${endpointName} is not an asynchronous endpoint.`);
  const inputLocation = headers['x-amzn-sagemaker-inputlocation'];
  const input = typeof inputLocation === 'string' ? parseLocation(inputLocation) : undefined;
  if (input === undefined) throw new RuntimeError('ValidationError', 'InputLocation must be an S3 URI: s3://BUCKET/KEY.');
  const route = endpoint.route({ inferenceComponent: undefined, variant: undefined }, random);
  const fault = faults.deal({ endpoint: endpointName, inferenceComponent: undefined, streams: false });
  const given = headers['x-amzn-sagemaker-inference-id'];
  const invocation = { endpointName, streams: false, headers, body: new Uint8Array() };
  await failBeforeAnswer(fault, route, invocation, surroundings, new AbortController().signal);
  const file = randomUUID();
  const [output, failure] = [`${paths.outputPath}${file}.out`, `${paths.failurePath}${file}-error.out`];
  response.writeHead(202, {
    'content-type': 'application/json',
    'x-amzn-sagemaker-outputlocation': output,
    'x-amzn-sagemaker-failurelocation': failure,
  });
  response.end(JSON.stringify({ InferenceId: typeof given === 'string' ? given : randomUUID() }));

  const objects = createObjects(config);
  const stop = AbortSignal.timeout(config.asyncSeconds * 1000);
  const make = async () => {
    const body = await objects.read(input);
    for (;;) {
      if (route.pool.candidates(undefined, surroundings.now()).length > 0) break;
      route.pool.refused(surroundings.now()); // its backlog is what starts a copy
      await sleep(LOOK_MS, undefined, { signal: stop });
    }
    const { message, seat } = await callFirstThatAnswers(route, { ...invocation, body }, surroundings, stop);
    using _seat = seat;
    const text = await readText(message, LONGEST_ANSWER_BYTES);
    const isGood = message.statusCode !== undefined && message.statusCode >= 200 && message.statusCode <= 299;
    await objects.write(isGood ? output : failure, text, message.headers['content-type']);
  };
  make()
    .catch((error: unknown) => objects.write(failure, error instanceof Error ? error.message : String(error), 'text/plain'))
    .catch((error: unknown) => {
      process.stderr.write(`${JSON.stringify({ event: 'async-answer-lost', error: error instanceof Error ? error.name : 'unknown' })}\n`);
    })
    .finally(() => objects.close());
}

interface Location {
  readonly Bucket: string;
  readonly Key: string;
}

function parseLocation(uri: string): Location | undefined {
  const [, Bucket, Key] = /^s3:\/\/([a-z0-9.-]{3,63})\/([\x21-\x7e]{1,1024})$/.exec(uri) ?? [];
  return Bucket === undefined || Key === undefined ? undefined : { Bucket, Key };
}

function createObjects({ region, credentials: { accessKeyId, secretAccessKey }, objectsUrl }: RuntimeConfig) {
  if (objectsUrl === undefined) throw new RuntimeError('InternalFailure', 'An asynchronous endpoint needs `objectsUrl`.');
  const client = new S3Client({ region, credentials: { accessKeyId, secretAccessKey }, endpoint: objectsUrl, forcePathStyle: true });
  return {
    async read(location: Location): Promise<Uint8Array> {
      const { Body } = await client.send(new GetObjectCommand({ ...location }));
      return (await Body?.transformToByteArray()) ?? new Uint8Array();
    },
    async write(uri: string, text: string, contentType: string | undefined): Promise<void> {
      const location = parseLocation(uri);
      if (location === undefined) throw new Error('the configuration was checked');
      await client.send(new PutObjectCommand({ ...location, Body: text, ContentType: contentType }));
    },
    close: () => client.destroy(),
  };
}
