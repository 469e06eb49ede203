/**
 * The bridge between a Lambda Function URL that streams and an ordinary `fetch` handler: event -> `Request`, `Response` -> Lambda stream.
 * Wire facts: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html (payload format 2.0) and
 * https://docs.aws.amazon.com/lambda/latest/dg/configuration-response-streaming.html; the framing is that of aws-lambda-ric 4.
 */
import * as v from 'valibot';
import { DeadlineError, GatewayError, MethodNotAllowedError } from './errors.ts';
import { errorResponse } from './openai/error-body.ts';
import type { Log } from './services.ts';

export type FetchHandler = (request: Request) => Response | Promise<Response>;

/** What Lambda's own stream offers (it is a facade of `http.ClientRequest`, not a whole `Writable`). */
export interface LambdaResponseStream {
  write(chunk: Uint8Array | string): boolean;
  end(callback?: () => void): unknown;
  on(event: 'drain' | 'close' | 'error', listener: (error?: Error) => void): unknown;
  off(event: 'drain' | 'close' | 'error', listener: (error?: Error) => void): unknown;
}

/** Status and headers: sent before the first byte of the body, with eight zero bytes between. */
export interface ResponsePrelude {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly cookies: readonly string[];
}

export interface LambdaContext {
  readonly awsRequestId: string;
  getRemainingTimeInMillis(): number;
}

export type StreamingHandler = (event: unknown, stream: LambdaResponseStream, context: LambdaContext) => Promise<void>;

/** The global `awslambda` of Lambda's Node runtimes. */
export interface LambdaStreaming {
  streamifyResponse(handler: StreamingHandler): StreamingHandler;
  readonly HttpResponseStream: { from(stream: LambdaResponseStream, prelude: ResponsePrelude): LambdaResponseStream };
}

/** How long before the function's timeout an answer is ended, so that the caller is told and the endpoint's work stops. */
const DEADLINE_MARGIN_MS = 2000;

/**
 * Makes the handler of a Function URL with the invoke mode RESPONSE_STREAM. Bytes leave as the body produces them, at the speed at which
 * Lambda takes them; the body is cancelled and the request's signal aborted when Lambda's stream closes or fails. The signal is aborted with a
 * `DeadlineError` shortly before the function's timeout. A failure before the first byte is answered as JSON; a later one fails the invocation.
 * @throws (in the invocation) for an event that no Function URL sends.
 */
export function createFunctionUrlHandler(lambda: LambdaStreaming, fetch: FetchHandler, log: Log): StreamingHandler {
  return lambda.streamifyResponse(async function answerEvent(event, stream, context) {
    const parsed = parseEvent(event);
    const closed = new AbortController();
    const deadline = new AbortController();
    const timer = setTimeout(
      () => deadline.abort(new DeadlineError()),
      Math.max(0, context.getRemainingTimeInMillis() - DEADLINE_MARGIN_MS),
    );
    const close = () => closed.abort(new Error('Lambda closed the stream before the answer had ended.'));
    stream.on('close', close);
    stream.on('error', close);
    try {
      const signal = AbortSignal.any([closed.signal, deadline.signal]);
      const answer = await respond(() => fetch(toRequest(parsed, signal)), context.awsRequestId, log);
      await send(answer, stream, lambda, closed.signal);
    } finally {
      clearTimeout(timer);
      stream.off('close', close);
    }
  });
}

const eventSchema = v.object({
  version: v.literal('2.0'),
  rawPath: v.pipe(v.string(), v.startsWith('/')),
  rawQueryString: v.optional(v.string(), ''),
  cookies: v.optional(v.array(v.string()), []),
  headers: v.record(v.string(), v.string()),
  requestContext: v.object({
    domainName: v.pipe(v.string(), v.regex(/^[\w.-]+$/)),
    http: v.object({ method: v.string() }),
  }),
  body: v.optional(v.string()),
  isBase64Encoded: v.optional(v.boolean(), false),
});

type FunctionUrlEvent = v.InferOutput<typeof eventSchema>;

/** Names the fields at fault and never their values: an event holds prompts and keys. */
function parseEvent(event: unknown): FunctionUrlEvent {
  const result = v.safeParse(eventSchema, event);
  if (!result.success) {
    const fields = [...new Set(result.issues.map((issue) => v.getDotPath(issue) ?? 'event'))].join(', ');
    throw new TypeError(
      `This function answers requests of a Function URL (payload format 2.0); wrong or missing in this event: ${fields}.`,
    );
  }
  if (result.output.isBase64Encoded && !/^[A-Za-z0-9+/]*={0,2}$/.test(result.output.body ?? '')) {
    throw new TypeError('This event says that its body is base64, which it is not.');
  }
  return result.output;
}

/** Methods that `Request` refuses by its specification: https://fetch.spec.whatwg.org/#forbidden-method */
const FORBIDDEN_METHODS = new Set(['CONNECT', 'TRACE', 'TRACK']);

function toRequest(event: FunctionUrlEvent, signal: AbortSignal): Request {
  const method = event.requestContext.http.method.toUpperCase();
  // A path never reaches into the query or the fragment, whatever Lambda has decoded.
  const path = event.rawPath.replaceAll('?', '%3F').replaceAll('#', '%23');
  if (FORBIDDEN_METHODS.has(method)) throw new MethodNotAllowedError(method, path, ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS']);
  const query = event.rawQueryString === '' ? '' : `?${event.rawQueryString.replaceAll('#', '%23')}`;
  const headers = new Headers(event.headers);
  if (event.cookies.length > 0) headers.set('cookie', event.cookies.join('; '));
  headers.delete('transfer-encoding');
  headers.delete('content-length');
  const url = `https://${event.requestContext.domainName}${path}${query}`;
  if (method === 'GET' || method === 'HEAD') return new Request(url, { method, headers, signal });
  const body = Buffer.from(event.body ?? '', event.isBase64Encoded ? 'base64' : 'utf8');
  headers.set('content-length', String(body.byteLength)); // the bytes that are here, whatever the caller declared
  return new Request(url, { method, headers, body, signal });
}

/** A response whose first chunk has been read, so that no failure until then has sent a status. */
interface BegunResponse {
  readonly response: Response;
  readonly reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  readonly first: Uint8Array | undefined;
}

async function respond(fetch: () => Response | Promise<Response>, requestId: string, log: Log): Promise<BegunResponse> {
  try {
    return await begin(await fetch());
  } catch (error) {
    if (!(error instanceof GatewayError)) log.write('error', 'request-failed', { requestId, error: nameOf(error) });
    const answer = errorResponse(error, requestId);
    answer.headers.set('x-request-id', requestId);
    return begin(answer);
  }
}

async function begin(response: Response): Promise<BegunResponse> {
  const reader = response.body?.getReader();
  return { response, reader, first: (await reader?.read())?.value };
}

async function send(
  { response, reader, first }: BegunResponse,
  stream: LambdaResponseStream,
  lambda: LambdaStreaming,
  closed: AbortSignal,
) {
  const cancel = () => void reader?.cancel(closed.reason).catch(() => undefined);
  closed.addEventListener('abort', cancel, { once: true });
  if (closed.aborted) cancel();
  const out = lambda.HttpResponseStream.from(stream, encodePrelude(response));
  // The prelude leaves with the first write, so an answer without a body writes no bytes once.
  for (let chunk: Uint8Array | undefined = first ?? new Uint8Array(); chunk !== undefined; chunk = await readNext(reader)) {
    if (closed.aborted) break;
    if (!out.write(chunk)) await drained(out, closed);
  }
  closed.throwIfAborted();
  await new Promise<void>((resolve) => out.end(resolve));
  closed.removeEventListener('abort', cancel);
}

/** The body's own failure may quote what a caller sent, and Lambda writes whatever an invocation throws to its log. */
async function readNext(reader: BegunResponse['reader']): Promise<Uint8Array | undefined> {
  try {
    return (await reader?.read())?.value;
  } catch (error) {
    throw new Error(`The answer broke off: ${nameOf(error)}.`);
  }
}

function drained(stream: LambdaResponseStream, closed: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      stream.off('drain', finish);
      closed.removeEventListener('abort', finish);
      resolve();
    };
    stream.on('drain', finish);
    closed.addEventListener('abort', finish);
    if (closed.aborted) finish();
  });
}

/** Headers that belong to one connection (RFC 9110 7.6.1) and the length: Lambda frames the body itself. */
const CONNECTION_HEADERS = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'content-length',
];

function encodePrelude(response: Response): ResponsePrelude {
  const headers = new Headers(response.headers);
  const named = headers.get('connection')?.split(',') ?? [];
  for (const name of [...CONNECTION_HEADERS, ...named.map((each) => each.trim()).filter(isHeaderName), 'set-cookie']) headers.delete(name);
  return { statusCode: response.status, headers: Object.fromEntries(headers), cookies: response.headers.getSetCookie() };
}

function isHeaderName(text: string): boolean {
  return /^[\w!#$%&'*+.^`|~-]+$/.test(text);
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown';
}
