import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Recording } from './vllm-recordings.ts';

interface ContainerRequest {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Resolves when the connection is closed before the answer was whole. */
  readonly abandoned: Promise<void>;
}

/** Writes an answer by hand. */
export type ContainerScript = (response: ServerResponse, request: ContainerRequest) => Promise<void> | void;

export interface ScriptedContainer extends AsyncDisposable {
  readonly url: string;
  readonly requests: ContainerRequest[];
  play(script: ContainerScript): void;
}

/** A model container that a test plays by hand, over real HTTP. */
export async function startScriptedContainer(): Promise<ScriptedContainer> {
  let script: ContainerScript = (response) => void response.writeHead(500).end();
  const requests: ContainerRequest[] = [];
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const abandoned = new Promise<void>((resolve) => response.once('close', () => !response.writableFinished && resolve()));
    const request = { headers: incoming.headers, body: Buffer.concat(chunks).toString('utf8'), abandoned };
    requests.push(request);
    await script(response, request);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    play: (next) => {
      script = next;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Answers as the recorded server did, chunk by chunk. */
export function replay(recording: Recording): ContainerScript {
  return async (response) => {
    writeHead(response, recording);
    for (const chunk of recording.chunks) await write(response, chunk);
    response.end();
  };
}

/** Sends so many chunks of the recording, and then does what the test says. */
export function replayThen(recording: Recording, chunks: number, then: ContainerScript): ContainerScript {
  return async (response, request) => {
    writeHead(response, recording);
    for (const chunk of recording.chunks.slice(0, chunks)) await write(response, chunk);
    await then(response, request);
  };
}

function writeHead(response: ServerResponse, { status, headers }: Recording): void {
  response.writeHead(status, { 'content-type': String(headers['content-type'] ?? 'application/json') });
  response.flushHeaders();
}

/** Waits for the bytes to be on their way, so that chunks arrive as chunks. */
function write(response: ServerResponse, chunk: string): Promise<void> {
  return new Promise((resolve) => response.write(chunk, () => resolve()));
}
