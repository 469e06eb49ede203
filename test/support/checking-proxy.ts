/** Stands between clients and a server, changes nothing, and holds every answer against OpenAI's own document. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { judgeAnswer } from './openai-answers.ts';

export interface CheckingProxy {
  /** Base URL for clients, with `/v1`. */
  readonly url: string;
  /** Answers and events that were held against a schema. */
  judged(): number;
  problems(): readonly string[];
  stop(): Promise<void>;
}

/** @param port of the server, on this machine. */
export async function startCheckingProxy(port: number): Promise<CheckingProxy> {
  let judged = 0;
  const problems = new Set<string>();
  const judge = (method: string, url: string, upstream: IncomingMessage, body: string) => {
    const [path = ''] = url.split('?');
    if (method === 'HEAD' || method === 'OPTIONS') return;
    const answer = { method, path, status: upstream.statusCode ?? 0, contentType: upstream.headers['content-type'] ?? '', body };
    const judgement = judgeAnswer(answer);
    judged += judgement.judged;
    for (const problem of judgement.problems) problems.add(`${method} ${path} ${answer.status}: ${problem}`);
  };
  const server = createServer((incoming, outgoing) => forward(port, incoming, outgoing, judge));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, // a TCP server's address is an object
    judged: () => judged,
    problems: () => [...problems],
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function forward(
  port: number,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  judge: (method: string, url: string, upstream: IncomingMessage, body: string) => void,
): void {
  const { method = 'GET', url = '/', headers } = incoming;
  const upstream = request({ host: '127.0.0.1', port, method, path: url, headers });
  let isAnswered = false;
  upstream.on('response', (answer) => {
    isAnswered = true;
    const pieces: Buffer[] = [];
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.on('data', (piece: Buffer) => {
      pieces.push(piece);
      outgoing.write(piece);
    });
    // Judged before the client hears of its end, so that whoever has read it finds the judgement there.
    answer.on('end', () => {
      judge(method, url, answer, Buffer.concat(pieces).toString());
      outgoing.end();
    });
    answer.on('error', () => outgoing.destroy());
  });
  // A server that has answered need not read the rest; the client that still sends it has its answer.
  upstream.on('error', () => {
    incoming.resume();
    if (!isAnswered) outgoing.destroy();
  });
  outgoing.on('close', () => {
    incoming.unpipe(upstream);
    incoming.resume();
    upstream.destroy(); // a client that leaves has left
  });
  incoming.pipe(upstream);
}
