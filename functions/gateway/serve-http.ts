/**
 * The gateway's own HTTP/1.1 server. What is no request is answered in OpenAI's shape as well, and never reaches the app: a message whose length can
 * be read in two ways, half a request that never becomes a whole one, one for no host.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { InvalidRequestError } from './errors.ts';
import { encodeError, errorResponse } from './openai/error-body.ts';
import { sendAtOnce } from './send-at-once.ts';
import type { Ids } from './services.ts';

export interface ServerOptions {
  readonly ids: Ids;
  /** Until a request's head has to be here, in milliseconds. */
  readonly headTimeoutMs?: number;
  /** Until the whole request has to be here, in milliseconds. */
  readonly requestTimeoutMs?: number;
}

/** Longer than load balancers keep theirs, so that no request meets a connection that is just being closed. */
const KEEP_ALIVE_MS = 65_000;

/** Not listening yet. */
export function createHttpServer(fetch: (request: Request) => Response | Promise<Response>, options: ServerOptions): Server {
  const { ids, headTimeoutMs = 20_000, requestTimeoutMs = 120_000 } = options;
  const refuse = (sentence: string) => {
    const requestId = ids.create('req_');
    const response = errorResponse(new InvalidRequestError(sentence), requestId);
    response.headers.set('x-request-id', requestId);
    return response;
  };
  const listener = getRequestListener(sendAtOnce(fetch), {
    hostname: 'localhost', // HTTP/1.0 needs to name none
    errorHandler: () => refuse('The request target or its Host header is malformed.'),
  });
  const refuseHost = getRequestListener(() => refuse('An HTTP/1.1 request has exactly one Host header.'), { hostname: 'localhost' });
  const server = createServer(
    {
      keepAliveTimeout: KEEP_ALIVE_MS,
      headersTimeout: headTimeoutMs,
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: Math.max(100, Math.min(5_000, headTimeoutMs / 4)),
      requireHostHeader: false, // refused below, with a body
    },
    (incoming: IncomingMessage, outgoing: ServerResponse) => void (hasOneHost(incoming) ? listener : refuseHost)(incoming, outgoing),
  );
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => answerMalformed(error, socket, ids));
  return server;
}

/** RFC 9112, section 3.2. */
function hasOneHost({ httpVersion, rawHeaders, headers }: IncomingMessage): boolean {
  const count = rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length;
  if (count === 0 || headers.host === '') return httpVersion === '1.0';
  return count === 1;
}

/** What Node's parser refuses, by the code of its error. */
const REFUSALS: Readonly<Record<string, readonly [status: number, sentence: string]>> = {
  HPE_HEADER_OVERFLOW: [431, 'The headers of the request are too large.'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'The chunk extensions of the request are too large.'],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'The request did not come in time.'],
};

function answerMalformed(error: NodeJS.ErrnoException, socket: Socket, ids: Ids): void {
  // Where an answer has begun, another one would be a part of it.
  if (!socket.writable || error.code === 'ECONNRESET' || hasBegunToAnswer(socket)) {
    socket.destroy();
    return;
  }
  const [status, sentence] = REFUSALS[error.code ?? ''] ?? [400, 'The request is no well-formed HTTP/1.1 message.'];
  const requestId = ids.create('req_');
  const body = JSON.stringify(encodeError(new InvalidRequestError(sentence), requestId));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'connection: close',
    'content-type: application/json',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

/** Node keeps the answer that a socket is busy with there; its own handler of malformed requests looks there too. */
function hasBegunToAnswer(socket: Socket & { _httpMessage?: { _headerSent?: boolean } | null }): boolean {
  return socket._httpMessage?._headerSent === true;
}
