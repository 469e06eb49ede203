/** Many clients at once, slow ones, ones that leave, and ones that send too much, over real sockets. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createRandomIds } from '../../../functions/drivers/random-ids.ts';
import { createHttpServer } from '../../../functions/gateway/serve-http.ts';
import { TEST_KEY } from '../../support/gateway.ts';
import { createGenerationApp, MODEL, readStream, textOf } from '../../support/generation-gateway.ts';
import { problemsBy } from '../../support/openai-schemas.ts';
import { openSocket, parseAnswers, readUntil } from '../../support/raw-http.ts';
import { ToyEndpoint } from '../../support/toy-endpoint.ts';

const MIB = 2 ** 20;
let server: Server | undefined;
let child: ChildProcess | undefined;

afterEach(async () => {
  if (server !== undefined) {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  }
  child?.kill('SIGKILL');
  server = undefined;
  child = undefined;
});

async function start(endpoint: ToyEndpoint): Promise<number> {
  const { app } = await createGenerationApp(endpoint);
  server = createHttpServer((request) => app.fetch(request), { ids: createRandomIds() });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port; // a TCP server's address is an object
}

const headers = { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' };
const complete = (port: number, body: object, signal?: AbortSignal) =>
  fetch(`http://127.0.0.1:${port}/v1/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ model: MODEL, ...body }),
    ...(signal === undefined ? {} : { signal }),
  });

describe('a hundred streams at once', () => {
  it('are each its own, whole and in order', { timeout: 120_000 }, async () => {
    const endpoint = new ToyEndpoint();
    const port = await start(endpoint);
    const requests = Array.from({ length: 100 }, (_, index) => ({ prompt: [index + 1, 7], max_tokens: 10 + (index % 40) }));
    const streamed = await Promise.all(
      requests.map(async (request) => await readStream(await complete(port, { ...request, stream: true }))),
    );
    const whole = await Promise.all(requests.map(async (request) => await textOf(await complete(port, request))));
    expect(streamed.map(({ text }) => text)).toEqual(whole);
    expect(new Set(whole).size).toBe(100);
    for (const { bytes, finishReason } of streamed) {
      expect(finishReason).toBe('length');
      expect(bytes.match(/data: \[DONE\]/g)).toHaveLength(1);
    }
    expect(endpoint.open).toBe(0);
  });

  it('stop at the endpoint when their readers leave, and the others go on', { timeout: 120_000 }, async () => {
    const endpoint = new ToyEndpoint();
    const port = await start(endpoint);
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => {
        const leave = new AbortController();
        const leaves = index % 2 === 0;
        const response = await complete(port, { prompt: [index + 1], max_tokens: leaves ? 8_000 : 60, stream: true }, leave.signal);
        if (!leaves) return await readStream(response);
        await response.body?.getReader().read();
        leave.abort();
        return undefined;
      }),
    );
    const stayed = answers.filter((answer) => answer !== undefined);
    expect(stayed).toHaveLength(50);
    for (const { bytes } of stayed) expect(bytes).toContain('data: [DONE]');
    await vi.waitFor(() => expect(endpoint.open).toBe(0), { timeout: 60_000 });
    expect(endpoint.generatedTokens).toBeLessThan(50 * 8_000);
  });
});

describe('a slow reader', () => {
  it('slows its own answer: nothing piles up, others are served, and it gets everything in the end', { timeout: 120_000 }, async () => {
    const endpoint = new ToyEndpoint();
    const port = await start(endpoint);
    const request = { model: MODEL, prompt: [5], n: 24, max_tokens: 1_000, stream: true };
    const text = JSON.stringify(request);
    const socket = connect({ port, host: '127.0.0.1' });
    const head = Object.entries({ host: 'a', connection: 'close', ...headers, 'content-length': text.length });
    socket.write(`POST /v1/completions HTTP/1.1\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${text}`);
    await once(socket, 'connect');
    socket.pause();
    const stoppedAt = await untilStill(() => endpoint.generatedTokens);
    const everything = request.n * request.max_tokens;
    expect(stoppedAt).toBeGreaterThan(0);
    expect(stoppedAt).toBeLessThan(everything);
    const other = await complete(port, { prompt: [6], max_tokens: 20 });
    expect((await textOf(other)).length).toBeGreaterThan(0);
    socket.resume();
    const answer = await readUntil(socket, (said) => said.endsWith('0\r\n\r\n'));
    expect(answer).toContain('data: [DONE]');
    expect(endpoint.generatedTokens).toBe(everything + 20);
    socket.destroy();
  });
});

/** The value once it has stayed the same while the server had plenty of turns. */
async function untilStill(read: () => number): Promise<number> {
  let [last, since] = [-1, 0];
  while (since < 200) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    const now = read();
    since = now === last && now > 0 ? since + 1 : 0;
    last = now;
  }
  return last;
}

describe('64 MiB', () => {
  const path = new URL('../../support/wire-gateway.ts', import.meta.url).pathname;

  async function startChild(): Promise<{ port: number; peak: () => Promise<number> }> {
    const running = fork(path);
    child = running;
    const [port]: number[] = await once(running, 'message');
    const peak = async () => {
      running.send('peak');
      const [bytes]: number[] = await once(running, 'message');
      return bytes ?? Number.NaN;
    };
    return { port: port ?? 0, peak };
  }

  /** Sends as the server reads, until it has sent everything or the server has had enough. @returns bytes that were taken. */
  async function pour(socket: Socket, wrap: (piece: Buffer) => Buffer): Promise<number> {
    const piece = wrap(Buffer.alloc(64 * 1024, 0x20));
    let sent = 0;
    while (sent < 64 * MIB && socket.writable) {
      sent += 64 * 1024;
      if (socket.write(piece)) continue;
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
    }
    return sent;
  }

  it.each([
    ['with a length', `content-length: ${64 * MIB}`, (piece: Buffer) => piece],
    ['in chunks', 'transfer-encoding: chunked', (piece: Buffer) => Buffer.concat([Buffer.from('10000\r\n'), piece, Buffer.from('\r\n')])],
  ])('%s are answered with 413 before they are all sent, and take no memory', { timeout: 120_000 }, async (_, length, wrap) => {
    const { port, peak } = await startChild();
    await complete(port, { prompt: [1], max_tokens: 1 }); // it has done its first work
    const before = await peak();
    const sockets = await Promise.all(Array.from({ length: 4 }, () => openSocket(port)));
    const answers = await Promise.all(
      sockets.map(async (socket) => {
        const reading = readUntil(socket, (text) => text.includes('}}'));
        socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: ${headers.authorization}\r\n`);
        socket.write(`content-type: application/json\r\n${length}\r\n\r\n`);
        const pouring = pour(socket, wrap);
        const text = await reading;
        socket.destroy();
        return { answer: parseAnswers(text)[0], sent: await pouring };
      }),
    );
    for (const { answer, sent } of answers) {
      expect(answer?.status).toBe(413);
      expect(problemsBy('ErrorResponse', JSON.parse(answer?.body ?? ''))).toEqual([]);
      expect(sent).toBeLessThan(64 * MIB);
    }
    // Four times what one body may be, and its pieces; not four times 64 MiB.
    expect((await peak()) - before).toBeLessThan(96 * MIB);
    expect((await complete(port, { prompt: [1], max_tokens: 1 })).status).toBe(200);
  });
});
