/** The call from the endpoint to a container: POST /invocations, with the headers that SageMaker passes on. */
import { Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage, type RequestOptions } from 'node:http';
import { urlToHttpOptions } from 'node:url';
import { isConnectionLost } from '../../../layers/network/is-connection-lost.ts';
import { ADAPTER_HEADER } from '../../invocation.ts';

/** What SageMaker strips none of; every other header of the caller stays behind. */
const PASSED_ON = [
  'content-type',
  'x-amzn-sagemaker-custom-attributes',
  'x-amzn-sagemaker-inference-component',
  'x-amzn-sagemaker-inference-id',
  'x-amzn-sagemaker-prefix-aware-id',
  'x-amzn-sagemaker-session-id',
  'x-amzn-sagemaker-target-model',
  'x-amzn-sagemaker-target-variant',
] as const;

export function containerHeaders(
  received: IncomingHttpHeaders,
  options: { readonly streams: boolean; readonly adapterIdentifier: string | undefined },
): Record<string, string> {
  const accept = received[options.streams ? 'x-amzn-sagemaker-accept' : 'accept'];
  const headers: Record<string, string> = typeof accept === 'string' ? { accept } : {};
  for (const name of PASSED_ON) {
    const value = received[name];
    if (typeof value === 'string') headers[name] = value;
  }
  if (options.adapterIdentifier !== undefined) headers[ADAPTER_HEADER] = options.adapterIdentifier;
  return headers;
}

const addresses = new Map<string, RequestOptions>();

/** Looked up once for each container of the settings. */
function addressOf(container: string): RequestOptions {
  const known = addresses.get(container);
  if (known !== undefined) return known;
  const url = new URL('invocations', container.endsWith('/') ? container : `${container}/`);
  const address = { ...urlToHttpOptions(url), method: 'POST' };
  addresses.set(container, address);
  return address;
}

/** Calls take the connection that was used last; idle ones are closed by the container. */
const agent = new Agent({ keepAlive: true, scheduling: 'lifo' });

/**
 * Resolves with the answer's head, rejects with Node's error. Aborting closes the connection at once, also while the body is read.
 * A kept-alive connection may turn out to be closed, because its container was restarted: nothing was asked then, and it is asked on a new one.
 * https://nodejs.org/api/http.html#requestreusedsocket
 */
export async function callContainer(
  container: string,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const address = addressOf(container);
  const call = (options: RequestOptions) => {
    const request = httpRequest({ ...address, headers: { ...headers, 'content-length': body.length }, ...options });
    // By hand: for its `signal` Node watches over the whole request with a dozen listeners.
    const stop = () => request.destroy(new Error('The call was stopped.', { cause: signal.reason }));
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    request.once('close', () => signal.removeEventListener('abort', stop));
    const answer = new Promise<IncomingMessage>((resolve, reject) => {
      request.once('response', resolve);
      request.on('error', reject);
    });
    request.end(body);
    return { request, answer };
  };
  const first = call({ agent });
  try {
    return await first.answer;
  } catch (error) {
    if (!first.request.reusedSocket || signal.aborted || !isConnectionLost(error)) throw error;
    return await call({ agent: false }).answer;
  }
}

/** The whole body, or its beginning when it is longer. */
export async function readText(message: IncomingMessage, mostBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= mostBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, mostBytes).toString('utf8');
}
