/** Over a raw socket: what matters is which bytes come. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { serve } from '@hono/node-server';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { sendAtOnce } from '../../../functions/gateway/send-at-once.ts';

let server: Server;

beforeAll(async () => {
  const fetch = (request: Request) => {
    const isStream = new URL(request.url).pathname === '/stream';
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('data: 1\n\n'));
        controller.close();
      },
    });
    return new Response(isStream ? body : 'data: 1\n\n', {
      headers: { 'content-type': isStream ? 'text/event-stream; charset=utf-8' : 'text/plain' },
    });
  };
  server = serve({ fetch: sendAtOnce(fetch), hostname: '127.0.0.1', port: 0 }) as Server;
  await once(server, 'listening');
});
afterAll(() => void server.close());

async function ask(path: string, version: string): Promise<{ head: string; body: string }> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  socket.end(`GET ${path} HTTP/${version}\r\nhost: here\r\nconnection: close\r\n\r\n`);
  let text = '';
  for await (const bytes of socket) text += String(bytes);
  const [head = '', body = ''] = text.split(/\r\n\r\n(.*)/s);
  return { head: head.toLowerCase(), body };
}

it('sends a stream of events in chunks, without looking for its length first', async () => {
  const { head, body } = await ask('/stream', '1.1');
  expect(head).toContain('transfer-encoding: chunked');
  expect(head).not.toContain('content-length');
  expect(body).toBe('9\r\ndata: 1\n\n\r\n0\r\n\r\n');
});

it('sends an HTTP/1.0 client no chunks', async () => {
  const { head, body } = await ask('/stream', '1.0');
  expect(head).not.toContain('transfer-encoding');
  expect(body).toBe('data: 1\n\n');
});

it('leaves other answers as they are', async () => {
  const { head, body } = await ask('/whole', '1.1');
  expect(head).toContain('content-length: 9');
  expect(body).toBe('data: 1\n\n');
});
