/** One call of an endpoint, from its admission to its last byte. */
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RuntimeConfig } from './config.ts';
import { callContainer, containerHeaders, readText } from './container-call.ts';
import type { Endpoint, Route } from './endpoint.ts';
import type { Fault, FaultDealer } from './faults.ts';
import { modelError, RuntimeError } from './runtime-error.ts';
import { streamAnswer } from './stream-answer.ts';

export interface Invocation {
  readonly endpointName: string;
  readonly streams: boolean;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

export interface Surroundings {
  readonly config: RuntimeConfig;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  readonly faults: FaultDealer;
  readonly random: () => number;
  /** Milliseconds that only grow. */
  readonly now: () => number;
}

/** As much of a failed container's answer as the caller is shown. */
const SHOWN_ERROR_BYTES = 64 * 1024;

/** Why a container's work is stopped; the caller's leaving needs no answer. */
const TIME_OUT = Symbol('time-out');

/**
 * Answers one call. When the caller goes, the container's request is closed at once.
 * @throws {RuntimeError} anything that goes wrong before the answer's head is sent.
 */
export async function answerInvocation(invocation: Invocation, response: ServerResponse, surroundings: Surroundings): Promise<void> {
  const { config, faults, random } = surroundings;
  const { endpointName, streams, headers } = invocation;
  const endpoint = surroundings.endpoints.get(endpointName);
  if (endpoint === undefined) throw new RuntimeError('ValidationError', `Endpoint ${endpointName} of account 000000000000 not found.`);
  const inferenceComponent = single(headers['x-amzn-sagemaker-inference-component']);
  if (config.endpoints[endpointName]?.asynchronous !== undefined) {
    throw new RuntimeError('ValidationError', `Endpoint ${endpointName} is asynchronous: call InvokeEndpointAsync.`);
  }
  const route = endpoint.route({ inferenceComponent, variant: single(headers['x-amzn-sagemaker-target-variant']) }, random);
  using _admission = endpoint.admit();

  const stop = new AbortController();
  response.once('close', () => stop.abort());
  if (response.destroyed) return;
  const limitSeconds = streams ? config.streamSeconds : config.invocationSeconds;
  const timer = setTimeout(() => stop.abort(TIME_OUT), limitSeconds * 1000);
  let message: IncomingMessage | undefined;
  try {
    const fault = faults.deal({ endpoint: endpointName, inferenceComponent, streams });
    await failBeforeAnswer(fault, route, invocation, surroundings, stop.signal);
    const answer = await callFirstThatAnswers(route, invocation, surroundings, stop.signal);
    using _seat = answer.seat;
    message = answer.message;
    if (message.statusCode === undefined || message.statusCode < 200 || message.statusCode > 299) {
      throw modelError(message.statusCode ?? 0, await readText(message, SHOWN_ERROR_BYTES), endpointName, config.region);
    }
    if (streams) {
      writeStreamHead(response, message, route);
      const cutRandom = config.hostileCuts ? random : undefined;
      await streamAnswer(message, response, {
        fault,
        cutRandom,
        stopped: stop.signal,
        timedOut: () => stop.signal.reason === TIME_OUT,
      });
    } else {
      await writeWhole(response, message, route);
    }
  } catch (error) {
    if (stop.signal.aborted && stop.signal.reason !== TIME_OUT) return; // nobody is left to hear it
    if (error instanceof RuntimeError || response.headersSent) throw error;
    if (stop.signal.aborted) throw modelError(0, TIMED_OUT_MESSAGE, endpointName, config.region);
    throw modelError(500, 'The container closed the connection without an answer.', endpointName, config.region);
  } finally {
    clearTimeout(timer);
    if (message?.complete !== true) stop.abort(); // a container that is still at work is told
  }
}

const TIMED_OUT_MESSAGE =
  'Your invocation timed out while waiting for a response from container primary. Review the latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again.';

/** @throws {RuntimeError} what the fault plan or missing copies say. */
export async function failBeforeAnswer(
  fault: Fault | undefined,
  route: Route,
  invocation: Invocation,
  { config, now }: Surroundings,
  signal: AbortSignal,
): Promise<void> {
  switch (fault?.kind) {
    case 'throttling':
      throw new RuntimeError('ThrottlingException', 'Rate exceeded');
    case 'model-not-ready':
      throw new RuntimeError('ModelNotReadyException', 'The model is still being loaded. Wait and try your request again.');
    case 'service-unavailable':
      throw new RuntimeError('ServiceUnavailable', 'The service is unavailable. Try your call again.');
    case 'internal-failure':
      throw new RuntimeError('InternalFailure', 'An internal failure occurred.');
    case 'internal-dependency':
      throw new RuntimeError(
        'InternalDependencyException',
        'Your request caused an exception with an internal dependency. Contact customer support.',
      );
    case 'model-error':
      throw modelError(fault.status, fault.message, invocation.endpointName, config.region);
    case 'zero-copies':
      route.pool.reload(fault.loadSeconds, now());
      return;
    case 'slow-start':
      await sleep(fault.seconds * 1000, undefined, { signal });
  }
}

export async function callFirstThatAnswers(
  route: Route,
  invocation: Invocation,
  { now }: Surroundings,
  signal: AbortSignal,
): Promise<{ message: IncomingMessage; seat: Disposable }> {
  const { headers, streams, body } = invocation;
  const affinity = single(headers['x-amzn-sagemaker-session-id']) ?? single(headers['x-amzn-sagemaker-prefix-aware-id']);
  const candidates = route.pool.candidates(affinity, now());
  if (candidates.length === 0) {
    route.pool.refused(now());
    throw new RuntimeError(
      'ValidationError',
      'Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress (if configured) or try to increase the capacity by invoking UpdateInferenceComponentRuntimeConfig API.',
    );
  }
  const passedOn = containerHeaders(headers, { streams, adapterIdentifier: route.adapterIdentifier });
  for (const container of candidates) {
    const seat = route.pool.occupy(container);
    try {
      return { message: await callContainer(container, passedOn, body, signal), seat };
    } catch (error) {
      seat[Symbol.dispose]();
      const refused = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
      if (!refused) throw error; // it may have begun the work: a second try elsewhere would do it twice
    }
  }
  throw new RuntimeError('ServiceUnavailable', 'No container of this endpoint can be reached. Try your call again.');
}

function writeStreamHead(response: ServerResponse, message: IncomingMessage, route: Route): void {
  response.writeHead(200, {
    'content-type': 'application/vnd.amazon.eventstream',
    'x-amzn-sagemaker-content-type': message.headers['content-type'] ?? 'application/octet-stream',
    ...answerHeaders(message, route, ['x-amzn-sagemaker-custom-attributes']),
  });
  response.flushHeaders();
}

async function writeWhole(response: ServerResponse, message: IncomingMessage, route: Route): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of message as AsyncIterable<Buffer>) chunks.push(chunk); // whole before the head: until then a failure is an error
  response.writeHead(200, {
    'content-type': message.headers['content-type'] ?? 'application/octet-stream',
    ...answerHeaders(message, route, [
      'x-amzn-sagemaker-custom-attributes',
      'x-amzn-sagemaker-new-session-id',
      'x-amzn-sagemaker-closed-session-id',
    ]),
  });
  response.end(Buffer.concat(chunks));
}

function answerHeaders(message: IncomingMessage, route: Route, passedBack: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = { 'x-amzn-invoked-production-variant': route.variant };
  for (const name of passedBack) {
    const value = single(message.headers[name]);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

function single(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
