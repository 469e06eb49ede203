/**
 * Lambda's Node runtime, as far as a function sees it that streams or returns a value, as a process of its own: asks the Runtime API of
 * `AWS_LAMBDA_RUNTIME_API` for events and gives them to the handler that `_HANDLER` (`index.handler`) names in `LAMBDA_TASK_ROOT`.
 * Framing, facade and error path are those of aws-lambda-ric 4.0.2 (dist/stream): the prelude leaves with the first write, a failure is told
 * in the trailers, and nothing ever tells the function that a client has left.
 */
import type { IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// As the client that this is modelled on gets it: an import would load what `node:http` only offers, fetch and WebSocket, before any function.
const { request: httpRequest }: typeof import('node:http') = createRequire(import.meta.url)('node:http');

const { AWS_LAMBDA_RUNTIME_API: api = '', _HANDLER: handlerName = '', LAMBDA_TASK_ROOT: root = '' } = process.env;
const runtime = `http://${api}/2018-06-01/runtime`;
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');

type PlainHandler = (event: unknown, context: object) => Promise<unknown>;
type StreamHandler = ((event: unknown, stream: ResponseStream, context: object) => Promise<void>) & { [STREAMING]?: string };

/** `http.ClientRequest` with the two additions of Lambda's runtime. */
class ResponseStream {
  beforeFirstWrite: ((write: (chunk: Uint8Array | string) => void) => void) | undefined;
  #begun = false;
  readonly #request;
  readonly acknowledged: Promise<void>;

  constructor(requestId: string) {
    this.#request = httpRequest(`${runtime}/invocation/${requestId}/response`, {
      method: 'POST',
      headers: {
        'lambda-runtime-function-response-mode': 'streaming',
        trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body',
        'content-type': 'application/octet-stream',
        'transfer-encoding': 'chunked',
      },
    });
    this.acknowledged = new Promise((resolve, reject) => {
      this.#request.on('error', (error) => {
        reject(error);
        this.#request.destroy(error);
      });
      this.#request.on('response', (response) => response.resume().on('end', resolve));
    });
    this.acknowledged.catch(() => undefined);
  }
  setContentType(type: string): void {
    if (this.#begun) throw new Error('Cannot set content-type, too late.');
    this.#request.setHeader('content-type', type);
  }
  write(chunk: Uint8Array | string): boolean {
    if (!this.#begun) this.beforeFirstWrite?.((each) => this.#request.write(each));
    this.#begun = true;
    return this.#request.write(chunk);
  }
  end(callback?: () => void): void {
    this.#request.end(callback);
  }
  on(event: string, listener: (...values: unknown[]) => void): void {
    this.#request.on(event, listener);
  }
  off(event: string, listener: (...values: unknown[]) => void): void {
    this.#request.off(event, listener);
  }
  get finished(): boolean {
    return this.#request.writableFinished;
  }
  fail(error: unknown): Promise<void> {
    const failure = describe(error);
    this.#request.addTrailers({
      'Lambda-Runtime-Function-Error-Type': failure.errorType,
      'Lambda-Runtime-Function-Error-Body': Buffer.from(JSON.stringify(failure)).toString('base64'),
    });
    return new Promise((resolve) => {
      if (this.#request.destroyed)
        resolve(); // nobody is left to be told
      else this.#request.end(resolve);
    });
  }
}

Object.assign(globalThis, {
  awslambda: {
    streamifyResponse(handler: StreamHandler) {
      handler[STREAMING] = 'response';
      return handler;
    },
    HttpResponseStream: {
      from(stream: ResponseStream, prelude: object) {
        stream.setContentType('application/vnd.awslambda.http-integration-response');
        stream.beforeFirstWrite = (write) => {
          write(JSON.stringify(prelude));
          write(new Uint8Array(8));
        };
        return stream;
      },
    },
  },
});

function describe(error: unknown): { errorType: string; errorMessage: string } {
  return error instanceof Error
    ? { errorType: error.name, errorMessage: error.message }
    : { errorType: typeof error, errorMessage: String(error) };
}

async function loadHandler(): Promise<StreamHandler | PlainHandler> {
  const [file = '', name = ''] = handlerName.split('.');
  const module: Record<string, unknown> = await import(pathToFileURL(join(root, `${file}.mjs`)).href);
  const handler = module[name];
  if (typeof handler !== 'function') throw new Error(`${handlerName} is not a function`);
  return handler as StreamHandler | PlainHandler; // which of the two it is, it says by a mark
}

function isStreaming(handler: StreamHandler | PlainHandler): handler is StreamHandler {
  return STREAMING in handler;
}

interface Answer {
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

/** Calls the Runtime API. */
function call(method: string, path: string, body?: unknown): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(`${runtime}${path}`, { method }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => resolve({ headers: response.headers, text }));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function serveOne(handler: StreamHandler | PlainHandler): Promise<void> {
  const { headers, text } = await call('GET', '/invocation/next');
  const requestId = String(headers['lambda-runtime-aws-request-id']);
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const context = { awsRequestId: requestId, getRemainingTimeInMillis: () => deadline - Date.now() };
  const event: unknown = JSON.parse(text);
  if (!isStreaming(handler)) {
    const post = (path: string, body: unknown) => call('POST', `/invocation/${requestId}/${path}`, body);
    await handler(event, context).then(
      (result) => post('response', result),
      (error) => post('error', describe(error)),
    );
    return;
  }
  const stream = new ResponseStream(requestId);
  try {
    await handler(event, stream, context);
    await stream.acknowledged;
    if (!stream.finished) throw new Error('Response stream is not finished.');
  } catch (error) {
    await stream.fail(error);
  }
}

try {
  const handler = await loadHandler();
  for (;;) await serveOne(handler);
} catch (error) {
  await call('POST', '/init/error', describe(error)).catch(() => undefined);
  process.exit(1);
}
