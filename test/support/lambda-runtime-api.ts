/**
 * A Lambda Runtime API of our own, on loopback: what a function's runtime talks to in AWS.
 * https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html; streaming as aws-lambda-ric 4 speaks it.
 */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Prelude {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly cookies: readonly string[];
}

/** What the runtime said about a failed invocation, by `/error` or in the trailers of a stream. */
export interface InvocationFailure {
  readonly errorType: string;
  readonly errorMessage: string;
}

const DELIMITER = Buffer.alloc(8);

/** One invocation, seen from Lambda's side while the function answers it. */
class Invocation {
  readonly id: string;
  readonly event: unknown;
  readonly timeoutMs: number;
  requestHeaders: IncomingHttpHeaders = {};
  failure: InvocationFailure | undefined;
  readonly #chunks: Buffer[] = [];
  #ended = false;
  #lost: Error | undefined;
  #request: IncomingMessage | undefined;
  #wake = Promise.withResolvers<void>();

  constructor(id: string, event: unknown, timeoutMs: number) {
    this.id = id;
    this.event = event;
    this.timeoutMs = timeoutMs;
  }

  /** What a function returned that does not stream. */
  get result(): unknown {
    return JSON.parse(Buffer.concat(this.#chunks).toString());
  }

  /** Everything after the prelude that has arrived so far. */
  get body(): string {
    const received = Buffer.concat(this.#chunks);
    const at = received.indexOf(DELIMITER);
    return at < 0 ? '' : received.subarray(at + DELIMITER.length).toString();
  }

  get prelude(): Prelude {
    const received = Buffer.concat(this.#chunks);
    const at = received.indexOf(DELIMITER);
    if (at < 0) throw new Error('the function has sent no prelude');
    return JSON.parse(received.subarray(0, at).toString());
  }

  /** Waits until the body so far satisfies the condition. Nothing else wakes it, so a function that buffers never gets past. */
  async until(condition: (body: string) => boolean): Promise<void> {
    while (!condition(this.body)) {
      if (this.#lost !== undefined) throw this.#lost;
      if (this.#ended) throw new Error(`the answer ended as ${JSON.stringify(this.body)}`);
      await this.#wake.promise;
    }
  }

  async end(): Promise<this> {
    while (!this.#ended) {
      if (this.#lost !== undefined) throw this.#lost;
      await this.#wake.promise;
    }
    return this;
  }

  /** Closes the stream under the function. AWS does not do this when a client leaves; a sandbox that breaks does. */
  breakStream(): void {
    this.#request?.destroy();
  }

  /** The function's process is gone: nobody will answer. */
  lose(reason: Error): void {
    this.#lost = reason;
    this.#notify();
  }

  receive(request: IncomingMessage, kind: 'response' | 'error', response: ServerResponse): void {
    this.#request = request;
    this.requestHeaders = request.headers;
    request.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#notify();
    });
    request.on('end', () => {
      if (kind === 'error') this.failure = JSON.parse(Buffer.concat(this.#chunks).toString());
      const trailer = request.trailers['lambda-runtime-function-error-body'];
      if (trailer !== undefined) this.failure = JSON.parse(Buffer.from(trailer, 'base64').toString());
      response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
      this.#finish();
    });
    request.on('close', () => this.#finish());
    request.on('error', () => undefined);
  }

  #finish(): void {
    this.#ended = true;
    this.#notify();
  }

  #notify(): void {
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    resolve();
  }
}

export interface LambdaRuntimeApi {
  /** host:port, for `AWS_LAMBDA_RUNTIME_API`. */
  readonly address: string;
  /** @param timeoutMs what the function is told to have left. */
  invoke(event: unknown, timeoutMs?: number): Invocation;
  /** Resolves when a runtime could not load its function. */
  readonly initFailure: Promise<InvocationFailure>;
  readonly initError: InvocationFailure | undefined;
  /** Resolves when the function is ready for its first event, or fails when it ends before. */
  readonly idle: Promise<void>;
  /** Fails what was invoked and what will be: the function's process is gone. */
  lose(reason: Error): void;
  close(): void;
}

export async function startLambdaRuntimeApi(): Promise<LambdaRuntimeApi> {
  const queue: Invocation[] = [];
  const idle: ServerResponse[] = [];
  const running = new Map<string, Invocation>();
  const all: Invocation[] = [];
  let lost: Error | undefined;
  let initError: InvocationFailure | undefined;
  const initFailure = Promise.withResolvers<InvocationFailure>();
  const ready = Promise.withResolvers<void>();
  ready.promise.catch(() => undefined);
  let count = 0;

  const hand = (invocation: Invocation, response: ServerResponse) => {
    running.set(invocation.id, invocation);
    response.writeHead(200, {
      'content-type': 'application/json',
      'lambda-runtime-aws-request-id': invocation.id,
      'lambda-runtime-deadline-ms': String(Date.now() + invocation.timeoutMs),
      'lambda-runtime-invoked-function-arn': 'arn:aws:lambda:eu-west-1:111111111111:function:gateway',
    });
    response.end(JSON.stringify(invocation.event));
  };
  const server = createServer((request, response) => {
    const path = request.url?.replace('/2018-06-01/runtime/', '') ?? '';
    if (path === 'invocation/next') {
      ready.resolve();
      const next = queue.shift();
      if (next === undefined) idle.push(response);
      else hand(next, response);
      return;
    }
    if (path === 'init/error') {
      void readJson(request).then((failure) => {
        initError = failure as InvocationFailure; // our own runtime writes it
        initFailure.resolve(initError);
      });
      response.writeHead(202).end('{}');
      return;
    }
    const [, id = '', kind] = /^invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    const invocation = running.get(id);
    running.delete(id);
    if (invocation === undefined) response.writeHead(404).end();
    else invocation.receive(request, kind === 'error' ? 'error' : 'response', response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // a TCP server has a port
  return {
    address: `127.0.0.1:${port}`,
    initFailure: initFailure.promise,
    idle: ready.promise,
    get initError() {
      return initError;
    },
    invoke(event, timeoutMs = 60_000) {
      count += 1;
      const invocation = new Invocation(`invocation-${count}`, event, timeoutMs);
      all.push(invocation);
      if (lost !== undefined) invocation.lose(lost);
      const response = idle.shift();
      if (response === undefined) queue.push(invocation);
      else hand(invocation, response);
      return invocation;
    },
    lose(reason) {
      lost = reason;
      ready.reject(reason);
      for (const invocation of all) invocation.lose(reason);
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

/** A Function URL's event (payload format 2.0), as AWS documents it. */
export function functionUrlEvent(
  method: string,
  path: string,
  options: { query?: string; headers?: Record<string, string>; cookies?: string[]; body?: string; isBase64Encoded?: boolean } = {},
): object {
  const domainName = 'abcdef.lambda-url.eu-west-1.on.aws';
  const { query = '', headers = {}, cookies, body, isBase64Encoded = false } = options;
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: path,
    rawQueryString: query,
    ...(cookies === undefined ? {} : { cookies }),
    headers: { host: domainName, 'x-forwarded-for': '203.0.113.7', 'x-forwarded-proto': 'https', 'x-forwarded-port': '443', ...headers },
    requestContext: {
      accountId: 'anonymous',
      apiId: 'abcdef',
      domainName,
      domainPrefix: 'abcdef',
      http: { method, path, protocol: 'HTTP/1.1', sourceIp: '203.0.113.7', userAgent: 'test' },
      requestId: '11111111-2222-3333-4444-555555555555',
      routeKey: '$default',
      stage: '$default',
      time: '24/Nov/2026:09:00:00 +0000',
      timeEpoch: 1_795_510_800_000,
    },
    ...(body === undefined ? {} : { body }),
    isBase64Encoded,
  };
}
