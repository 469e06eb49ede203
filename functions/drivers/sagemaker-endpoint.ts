import type {
  InvokeEndpointCommandInput,
  InvokeEndpointWithResponseStreamCommandOutput,
  ResponseStream,
  SageMakerRuntimeClientConfig,
} from '@aws-sdk/client-sagemaker-runtime';
import { isConnectionLost } from '../../layers/network/is-connection-lost.ts';
import { EndpointUnavailableError } from '../gateway/errors.ts';
import type { Endpoint, EndpointEvent, EndpointRequest } from '../gateway/services.ts';
import { CONNECT_TIMEOUT } from './aws-call-limits.ts';
import { AnswerReader } from './sagemaker-endpoint-answer.ts';
import { awsFailure } from './sagemaker-endpoint-failure.ts';
import { encodeEmbedding, encodeRequest, encodeScoring } from './sagemaker-endpoint-request.ts';
import { readEmbeddings, readScores } from './sagemaker-endpoint-whole.ts';
import { createRuntimeClient, type RuntimeClient } from './sagemaker-runtime-client.ts';

export interface SageMakerEndpointOptions {
  /** Laid over the SDK's ordinary configuration (environment, profile, role), which is enough by itself. */
  readonly client?: SageMakerRuntimeClientConfig;
  /** Longest wait for the first bytes; a request may queue at the endpoint meanwhile. */
  readonly firstBytesTimeoutMs?: number;
  /** Longest pause between bytes of an answer. */
  readonly pauseTimeoutMs?: number;
}

/** Every running answer holds a connection; the SDK's 50 would make the 51st wait unseen. */
const MAX_SOCKETS = 10_000;
/** After the container's last word the connection is read to its end, so that it can be used again; but not for long. */
const GOODBYE_MS = 250;

const STALLED = Symbol('stalled');

/**
 * Generation on SageMaker, by InvokeEndpointWithResponseStream; scores and embeddings by InvokeEndpoint. Retries are not made here but by whoever knows what was delivered
 * already: the one exception is a kept-alive connection that turns out to be closed.
 */
export function createSageMakerEndpoint(options: SageMakerEndpointOptions = {}): Endpoint & { close(): void } {
  const { firstBytesTimeoutMs = 120_000, pauseTimeoutMs = 30_000 } = options;
  const createClient = (region: string | undefined) =>
    createRuntimeClient({
      requestHandler: {
        ...CONNECT_TIMEOUT,
        httpAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
        httpsAgent: { keepAlive: true, maxSockets: MAX_SOCKETS },
      },
      ...options.client,
      ...(region === undefined ? {} : { region }),
    });
  const client = createClient(undefined);
  const elsewhere = new Map<string, RuntimeClient>();
  const clientIn = (region: string | undefined): RuntimeClient => {
    if (region === undefined) return client;
    const known = elsewhere.get(region) ?? createClient(region);
    elsewhere.set(region, known);
    return known;
  };

  /** One answer in one piece: SageMaker gives it a minute. */
  async function invokeWhole(input: InvokeEndpointCommandInput, region: string | undefined, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const stop = new AbortController();
    const send = () => clientIn(region).invoke(input, AbortSignal.any([signal, stop.signal]));
    try {
      const output = await within(firstBytesTimeoutMs, stop, onFreshConnection(send, signal));
      return new TextDecoder().decode(output.Body);
    } catch (error) {
      signal.throwIfAborted();
      const endpointName = input.EndpointName ?? '';
      if (stop.signal.reason === STALLED) throw new EndpointUnavailableError('stalled', endpointName, { cause: error });
      throw awsFailure(error, endpointName, false);
    }
  }

  return {
    async *invoke(request: EndpointRequest, signal: AbortSignal): AsyncGenerator<EndpointEvent> {
      signal.throwIfAborted();
      const { endpointName } = request.target;
      // Leaving a loop over the SDK's stream does not close its connection; only aborting does.
      const stop = new AbortController();
      const stopWithCaller = () => stop.abort(signal.reason);
      signal.addEventListener('abort', stopWithCaller, { once: true });
      let reader: AnswerReader | undefined;
      let whole = false;
      try {
        const output = await within(firstBytesTimeoutMs, stop, send(clientIn(request.target.region), request, stop.signal));
        reader = new AnswerReader({ contentType: output.ContentType ?? '', endpointName, topLogprobs: request.topLogprobs });
        const parts = partsOf(output);
        for (let limitMs = firstBytesTimeoutMs; ; limitMs = reader.done ? GOODBYE_MS : pauseTimeoutMs) {
          const part = await within(limitMs, stop, parts.next());
          if (part.done === true) break;
          const bytes = part.value.PayloadPart?.Bytes;
          if (bytes !== undefined) yield* reader.push(bytes);
        }
        whole = true;
      } catch (error) {
        // An abort surfaces as a plain Error, so the signals are asked first.
        signal.throwIfAborted();
        if (reader?.done !== true) {
          throw stop.signal.reason === STALLED
            ? new EndpointUnavailableError('stalled', endpointName, { cause: error })
            : awsFailure(error, endpointName, reader !== undefined);
        }
      } finally {
        signal.removeEventListener('abort', stopWithCaller);
        if (!whole) stop.abort();
      }
      yield* reader.finish();
    },
    async score(request, signal) {
      return readScores(await invokeWhole(encodeScoring(request), request.target.region, signal), request);
    },
    async embed(request, signal) {
      return readEmbeddings(await invokeWhole(encodeEmbedding(request), request.target.region, signal), request);
    },
    close() {
      for (const each of [client, ...elsewhere.values()]) each.close();
    },
  };
}

async function send(
  client: RuntimeClient,
  request: EndpointRequest,
  signal: AbortSignal,
): Promise<InvokeEndpointWithResponseStreamCommandOutput> {
  const input = encodeRequest(request);
  return await onFreshConnection(() => client.invokeStreaming(input, signal), signal);
}

/** A function that was frozen, or an idle server, wakes up with dead connections: nothing was answered, so nothing is done twice. */
async function onFreshConnection<Output>(call: () => Promise<Output>, signal: AbortSignal): Promise<Output> {
  try {
    return await call();
  } catch (error) {
    if (!isConnectionLost(error) || signal.aborted) throw error;
    return await call();
  }
}

function partsOf(output: InvokeEndpointWithResponseStreamCommandOutput): AsyncIterator<ResponseStream> {
  if (output.Body === undefined) throw new Error('The endpoint answered without a body.');
  return output.Body[Symbol.asyncIterator]();
}

/** Waits for the endpoint, and for nobody else: a slow reader is not the endpoint's fault, so the time runs only here. */
async function within<T>(limitMs: number, stop: AbortController, waiting: Promise<T>): Promise<T> {
  const timer = setTimeout(() => stop.abort(STALLED), limitMs);
  try {
    return await waiting;
  } finally {
    clearTimeout(timer);
  }
}
