import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createRandomIds } from '../../../functions/drivers/random-ids.ts';
import type { App } from '../../../functions/gateway/app.ts';
import { createHttpServer } from '../../../functions/gateway/serve-http.ts';
import { TEST_KEY } from '../../support/gateway.ts';
import { createGenerationApp, MODEL, PROMPT } from '../../support/generation-gateway.ts';
import { problemsBy } from '../../support/openai-schemas.ts';
import { exchange, openSocket, parseAnswers, readUntil } from '../../support/raw-http.ts';
import { ToyEndpoint } from '../../support/toy-endpoint.ts';

let app: App;
let server: Server;
let port: number;
const endpoint = new ToyEndpoint();
let seen: string[];

async function listen(timeouts: { headTimeoutMs?: number; requestTimeoutMs?: number } = {}): Promise<[Server, number]> {
  const count = (request: Request) => {
    seen.push(`${request.method} ${new URL(request.url).pathname}`);
    return app.fetch(request);
  };
  const listening = createHttpServer(count, { ids: createRandomIds(), ...timeouts });
  listening.listen(0, '127.0.0.1');
  await once(listening, 'listening');
  return [listening, (listening.address() as AddressInfo).port]; // a TCP server's address is an object
}

async function close(listening: Server): Promise<void> {
  listening.closeAllConnections();
  listening.close();
  await once(listening, 'close');
}

beforeAll(async () => {
  seen = [];
  ({ app } = await createGenerationApp(endpoint));
  [server, port] = await listen();
});
afterAll(() => close(server));

const key = `authorization: Bearer ${TEST_KEY}\r\n`;
const models = `GET /v1/models HTTP/1.1\r\nhost: a\r\n${key}\r\n`;
const smuggled = 'GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n';

function post(body: object, { version = '1.1', headers = '' } = {}): string {
  const text = JSON.stringify({ model: MODEL, prompt: PROMPT, max_tokens: 3, ...body });
  const head = `POST /v1/completions HTTP/${version}\r\nhost: a\r\n${key}${headers}content-type: application/json\r\n`;
  return `${head}content-length: ${text.length}\r\n\r\n${text}`;
}

/** Posts with these lines of its head. */
const shaped = (lines: string, body = smuggled) =>
  `POST /v1/completions HTTP/1.1\r\nhost: a\r\n${key}content-type: application/json\r\n${lines}\r\n${body}`;

describe('messages that two servers could read in two ways', () => {
  const shapes: Readonly<Record<string, string>> = {
    'a length and chunks': shaped(`content-length: 6\r\ntransfer-encoding: chunked\r\n`, `0\r\n\r\n${smuggled}`),
    'chunks and a length': shaped(`transfer-encoding: chunked\r\ncontent-length: 6\r\n`, `0\r\n\r\n${smuggled}`),
    'two lengths': shaped(`content-length: 2\r\ncontent-length: ${smuggled.length + 2}\r\n`, `{}${smuggled}`),
    'the same length twice': shaped('content-length: 2\r\ncontent-length: 2\r\n', '{}'),
    'a list of lengths': shaped('content-length: 2, 2\r\n', '{}'),
    'a signed length': shaped('content-length: +2\r\n', '{}'),
    'a negative length': shaped('content-length: -1\r\n', ''),
    'a length in another base': shaped('content-length: 0x2\r\n', '{}'),
    'a length over every number': shaped('content-length: 99999999999999999999999\r\n', '{}'),
    'an unknown transfer coding': shaped('transfer-encoding: xchunked\r\n', `0\r\n\r\n${smuggled}`),
    'chunks that are not the last coding': shaped('transfer-encoding: chunked, identity\r\n', `0\r\n\r\n${smuggled}`),
    'a transfer coding after a vertical tab': shaped('transfer-encoding:\vchunked\r\n', `0\r\n\r\n${smuggled}`),
    'a folded header': shaped('x-long: a\r\n b\r\ncontent-length: 2\r\n', '{}'),
    'a folded transfer coding': shaped('transfer-encoding:\r\n chunked\r\n', `0\r\n\r\n${smuggled}`),
    'a space before the colon': shaped('content-length : 2\r\n', '{}'),
    'a header without a name': shaped(': x\r\n', ''),
    'a line end without a carriage return': `GET /v1/models HTTP/1.1\nhost: a\n\n`,
    'a header that ends in a bare line feed': `GET /v1/models HTTP/1.1\r\nhost: a\nx-smuggled: b\r\n\r\n`,
    'a bare carriage return in a header': `GET /v1/models HTTP/1.1\r\nhost: a\rx: b\r\n\r\n`,
    'a zero byte in a header': `GET /v1/models HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n`,
    'a chunk size that is no number': shaped('transfer-encoding: chunked\r\n', 'zz\r\n{}\r\n0\r\n\r\n'),
    'a signed chunk size': shaped('transfer-encoding: chunked\r\n', '+2\r\n{}\r\n0\r\n\r\n'),
    'a chunk longer than its size': shaped('transfer-encoding: chunked\r\n', `2\r\n{}xx\r\n0\r\n\r\n`),
    'a chunk that ends in a bare line feed': shaped('transfer-encoding: chunked\r\n', `2\n{}\n0\n\n`),
    'a chunk size over every number': shaped('transfer-encoding: chunked\r\n', 'fffffffffffffffff\r\n{}\r\n0\r\n\r\n'),
    'no host': `GET /v1/models HTTP/1.1\r\n${key}\r\n`,
    'an empty host': `GET /v1/models HTTP/1.1\r\nhost:\r\n${key}\r\n`,
    'two hosts': `GET /v1/models HTTP/1.1\r\nhost: a\r\nhost: b\r\n${key}\r\n`,
    'a host that is none': `GET /v1/models HTTP/1.1\r\nhost: a b/c\r\n${key}\r\n`,
    'no version': 'GET /v1/models\r\n\r\n',
    'a version that is none': 'GET /v1/models HTTP/9.9\r\nhost: a\r\n\r\n',
    'no method': ' /v1/models HTTP/1.1\r\nhost: a\r\n\r\n',
    'another protocol': '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'the preface of HTTP/2': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    'the server itself as a target': `OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n`,
  };

  it.each(Object.entries(shapes))('%s is refused in OpenAI’s shape, and nothing behind it is read', async (_, bytes) => {
    seen = [];
    const answers = parseAnswers(await exchange(port, bytes, (text) => text.includes('}}')));
    expect(answers.map(({ status }) => status)).toEqual([400]);
    expect(problemsBy('ErrorResponse', JSON.parse(answers[0]?.body ?? ''))).toEqual([]);
    expect(answers[0]?.headers.get('x-request-id')).toMatch(/^req_/);
    expect(seen.filter((request) => request.includes('smuggled'))).toEqual([]);
  });

  it('refuses heads that never end, and serves the connection’s neighbours meanwhile', async () => {
    const [answer] = parseAnswers(await exchange(port, `GET / HTTP/1.1\r\nhost: a\r\nx: ${'a'.repeat(100_000)}`));
    expect(answer?.status).toBe(431);
    expect(problemsBy('ErrorResponse', JSON.parse(answer?.body ?? ''))).toEqual([]);
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(200);
  });

  it('is not shown a path outside of its own', async () => {
    seen = [];
    for (const path of ['/v1/../healthz', '/v1/%2e%2e/healthz', 'http://elsewhere.example/healthz', '//healthz', '/v1/models/..%2f..%2fx'])
      await exchange(port, `GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`);
    for (const request of seen) expect(request).toMatch(/^GET \/(?!.*(?:^|\/)\.\.(?:\/|$))/);
  });
});

describe('connections', () => {
  it('serve one request after another: a hundred of them', async () => {
    const socket = await openSocket(port);
    for (let count = 0; count < 100; count += 1) {
      socket.write(count % 2 === 0 ? models : post({}));
      const [answer] = parseAnswers(await readUntil(socket, isWhole));
      expect(answer?.status).toBe(200);
    }
    socket.destroy();
  });

  it('answer what came all at once in its order, streams among it', async () => {
    const last = post({ prompt: [9], max_tokens: 2 }, { headers: 'connection: close\r\n' });
    const text = await exchange(port, `${post({ max_tokens: 5 })}${models}${post({ stream: true, max_tokens: 4 })}${last}`);
    const order = [...text.matchAll(/"completion_tokens":(\d)|"object":"(list)"|(\[DONE\])/g)].map(
      ([, count, list, done]) => count ?? list ?? done,
    );
    expect(order).toEqual(['5', 'list', '[DONE]', '2']);
  });

  it('take a client that closes its half for one that leaves: the endpoint stops', async () => {
    const socket = await openSocket(port);
    socket.write(post({ stream: true, max_tokens: 8_000 }));
    await readUntil(socket, (text) => text.includes('data: '));
    expect(endpoint.open).toBe(1);
    socket.end();
    socket.resume();
    await once(socket, 'close');
    await vi.waitFor(() => expect(endpoint.open).toBe(0));
  });

  it('answer HTTP/1.0 without chunks: a length, or the connection’s end', async () => {
    const whole = await exchange(port, post({}, { version: '1.0' }));
    const [answer] = parseAnswers(whole);
    expect(answer?.status).toBe(200);
    expect(answer?.headers.has('transfer-encoding')).toBe(false);
    const stream = await exchange(port, post({ stream: true }, { version: '1.0' }));
    expect(stream).not.toMatch(/transfer-encoding/i);
    expect(stream).toMatch(/\r\n\r\n(?:id: \d+\ndata: .+\n\n)+$/);
    expect(stream).toContain('data: [DONE]');
    const [kept] = parseAnswers(await exchange(port, models.replace('1.1', '1.0').replace('host: a\r\n', ''), isWhole));
    expect(kept?.status).toBe(200);
  });

  const halves = ['G', 'GET /v1/models HTTP/1.1\r\nhost: a\r\nx: ', post({}).slice(0, -5)];
  const openHalves = async (at: number, count: number) =>
    await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const socket = await openSocket(at);
        socket.write(halves[index % halves.length] ?? '');
        return socket;
      }),
    );

  it('that stay half a request keep nobody waiting', async () => {
    const sockets = await openHalves(port, 120);
    const [answer] = parseAnswers(await exchange(port, post({}), isWhole));
    expect(answer?.status).toBe(200);
    for (const socket of sockets) socket.destroy();
  });

  it('that stay half a request are closed with 408', async () => {
    const [impatient, at] = await listen({ headTimeoutMs: 300, requestTimeoutMs: 600 });
    const sockets = await openHalves(at, 6);
    for (const end of await Promise.all(sockets.map(async (socket) => parseAnswers(await readUntil(socket, () => false))[0]))) {
      expect(end?.status).toBe(408);
      expect(problemsBy('ErrorResponse', JSON.parse(end?.body ?? ''))).toEqual([]);
    }
    await close(impatient);
  });
});

describe('methods', () => {
  const ask = async (method: string, path: string, headers = key) =>
    parseAnswers(await exchange(port, `${method} ${path} HTTP/1.1\r\nhost: a\r\n${headers}connection: close\r\n\r\n`))[0];

  it('HEAD is GET without a body', async () => {
    for (const path of [
      '/v1/models',
      `/v1/models/${MODEL}`,
      '/healthz',
      '/readyz',
      '/version',
      '/openapi.json',
      '/docs',
      '/v1/models/none',
    ]) {
      const [head, get] = [await ask('HEAD', path), await ask('GET', path)];
      expect(head?.status, path).toBe(get?.status);
      expect(head?.body).toBe('');
      expect(head?.headers.get('content-type')).toBe(get?.headers.get('content-type'));
      expect(head?.headers.get('x-request-id')).toMatch(/^req_/);
    }
    const refused = await ask('HEAD', '/v1/chat/completions');
    expect([refused?.status, refused?.headers.get('allow'), refused?.body]).toEqual([405, 'POST', '']);
  });

  it('OPTIONS needs no key, and names what a browser asks for', async () => {
    const preflight =
      'origin: https://app.example\r\naccess-control-request-method: POST\r\naccess-control-request-headers: authorization,content-type,x-stainless-os\r\n';
    for (const path of ['/v1/chat/completions', '/v1/models', '/v1/responses/resp_1', '/nowhere']) {
      const answer = await ask('OPTIONS', path, preflight);
      expect(answer?.status, path).toBe(204);
      expect(answer?.headers.get('access-control-allow-origin')).toBe('*');
      expect(answer?.headers.get('access-control-allow-headers')).toBe('authorization,content-type,x-stainless-os');
      expect(answer?.headers.get('access-control-allow-methods')).toContain('POST');
    }
  });

  it('others are refused with what is allowed', async () => {
    for (const method of ['PUT', 'PATCH', 'DELETE', 'TRACE']) {
      const answer = await ask(method, '/v1/chat/completions');
      expect([answer?.status, answer?.headers.get('allow')], method).toEqual([405, 'POST']);
    }
    expect((await ask('BREW', '/v1/models'))?.status).toBe(400);
  });
});

function isWhole(text: string): boolean {
  const head = text.indexOf('\r\n\r\n');
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  return head >= 0 && length !== undefined && text.length >= head + 4 + Number(length);
}
