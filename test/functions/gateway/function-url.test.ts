import { EventEmitter, once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleEntry } from '../../../functions/bundle.ts';
import { createFunctionUrlHandler, type LambdaStreaming } from '../../../functions/gateway/function-url.ts';
import { functionUrlEvent } from '../../support/lambda-runtime-api.ts';
import { type RunningFunction, runLambdaFunction } from '../../support/run-lambda-function.ts';

let folder: string;
let running: RunningFunction;
let gates: Gates;

/** Where the probe waits until a test lets it pass. */
class Gates {
  readonly #waiting = new Map<string, ServerResponse>();
  readonly #watchers = new Map<string, () => void>();
  readonly server: Server = createServer((request, response) => {
    const name = request.url?.slice(1) ?? '';
    this.#waiting.set(name, response);
    this.#watchers.get(name)?.();
  });

  /** Waits until the probe stands before the gate, and opens it. */
  async open(name: string, word = ''): Promise<void> {
    if (!this.#waiting.has(name)) await new Promise<void>((resolve) => this.#watchers.set(name, resolve));
    this.#waiting.get(name)?.end(word);
    this.#waiting.delete(name);
    this.#watchers.delete(name);
  }

  isWaiting(name: string): boolean {
    return this.#waiting.has(name);
  }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-probe-'));
  await bundleEntry(fileURLToPath(new URL('../../support/probe-function.ts', import.meta.url)), join(folder, 'index.mjs'));
  gates = new Gates();
  gates.server.listen(0, '127.0.0.1');
  await once(gates.server, 'listening');
  const { port } = gates.server.address() as AddressInfo; // a TCP server has a port
  running = await runLambdaFunction(folder, { GATE: `http://127.0.0.1:${port}` });
});

afterAll(async () => {
  await running.stop();
  gates.server.closeAllConnections();
  gates.server.close();
  await rm(folder, { recursive: true, force: true });
});

const invoke = (...event: Parameters<typeof functionUrlEvent>) => running.api.invoke(functionUrlEvent(...event));
const echo = async (...event: Parameters<typeof functionUrlEvent>) => JSON.parse((await invoke(...event).end()).body);

describe('an answer that streams', () => {
  it('sends each part when it is produced, and asks for the next only then', async () => {
    const invocation = invoke('GET', '/gated');
    await gates.open('part-1');
    await invocation.until((body) => body === 'data: 1\n\n');
    expect(invocation.prelude).toEqual({ statusCode: 200, headers: { 'content-type': 'text/event-stream' }, cookies: [] });
    expect(invocation.requestHeaders).toMatchObject({
      'lambda-runtime-function-response-mode': 'streaming',
      'content-type': 'application/vnd.awslambda.http-integration-response',
    });
    await gates.open('part-2');
    await invocation.until((body) => body === 'data: 1\n\ndata: 2\n\n');
    await gates.open('part-3', 'end');
    await invocation.end();
    expect(invocation.failure).toBeUndefined();
    expect(invocation.body).toBe('data: 1\n\ndata: 2\n\n');
  });

  it('asks for no more while Lambda takes no more', async () => {
    const stream = Object.assign(new EventEmitter(), { write: () => false, end: (done: () => void) => done() });
    const runtime: LambdaStreaming = { streamifyResponse: (handler) => handler, HttpResponseStream: { from: (inner) => inner } };
    let pulled = 0;
    const pull = (controller: ReadableStreamDefaultController) => {
      pulled += 1;
      if (pulled === 3) controller.close();
      else controller.enqueue(new Uint8Array(1));
    };
    const handler = createFunctionUrlHandler(runtime, () => new Response(new ReadableStream({ pull }, { highWaterMark: 0 })), {
      write() {},
    });
    const done = handler(functionUrlEvent('GET', '/'), stream, { awsRequestId: '1', getRemainingTimeInMillis: () => 60_000 });
    for (const expected of [1, 2]) {
      for (let turn = 0; turn < 10; turn += 1) await setImmediate();
      expect(pulled).toBe(expected);
      stream.emit('drain');
    }
    await done;
    expect(pulled).toBe(3);
    expect(stream.listenerCount('drain')).toBe(0);
  });

  it('cancels the body and aborts the request when the stream breaks, and serves the next event', async () => {
    const invocation = invoke('GET', '/gated');
    await gates.open('part-1');
    await invocation.until((body) => body !== '');
    invocation.breakStream();
    await gates.open('cancelled');
    await gates.open('aborted-true');
    await gates.open('part-2');
    expect((await echo('GET', '/after')).method).toBe('GET');
  });

  it('ends the answer before the function would time out', async () => {
    const invocation = running.api.invoke(functionUrlEvent('GET', '/until-deadline'), 2000);
    await invocation.end();
    expect(invocation.body).toBe('begun DeadlineError');
    expect(invocation.failure).toBeUndefined();
  });
});

describe('the prelude', () => {
  it('keeps every header but those of one connection, and each cookie apart', async () => {
    const { prelude, body } = await invoke('GET', '/headers').end();
    expect(prelude.statusCode).toBe(207);
    expect(prelude.headers).toEqual({ 'content-type': 'text/plain;charset=UTF-8', 'x-kept': 'a, b' });
    expect(prelude.cookies).toEqual(['one=1; Path=/', 'two=2']);
    expect(body).toBe('ok');
  });

  it('is sent for an answer without a body', async () => {
    const { prelude, body } = await invoke('GET', '/nothing').end();
    expect(prelude).toEqual({ statusCode: 204, headers: { 'x-kept': 'yes' }, cookies: [] });
    expect(body).toBe('');
  });
});

describe('the request', () => {
  it('has the method, the address, the query and the cookies of the event', async () => {
    const seen = await echo('DELETE', '/v1/a b/%2Fc', {
      query: 'a=1&a=2&b=%26%23',
      cookies: ['one=1', 'two=2'],
      headers: { 'x-many': 'a,b' },
    });
    expect(seen.method).toBe('DELETE');
    expect(seen.url).toBe('https://abcdef.lambda-url.eu-west-1.on.aws/v1/a%20b/%2Fc?a=1&a=2&b=%26%23');
    expect(seen.headers).toMatchObject({ cookie: 'one=1; two=2', 'x-many': 'a,b', 'x-forwarded-for': '203.0.113.7' });
  });

  it.each([
    ['//evil.example/x', 'https://abcdef.lambda-url.eu-west-1.on.aws//evil.example/x'],
    ['/a?b#c', 'https://abcdef.lambda-url.eu-west-1.on.aws/a%3Fb%23c'],
    ['/@evil.example', 'https://abcdef.lambda-url.eu-west-1.on.aws/@evil.example'],
  ])('keeps the path %s a path', async (path, url) => {
    expect((await echo('POST', path)).url).toBe(url);
  });

  it('has the body as text', async () => {
    const seen = await echo('POST', '/echo', { body: '{"é":"🎉"}', headers: { 'content-length': '3' } });
    expect(Buffer.from(seen.bytes).toString()).toBe('{"é":"🎉"}');
    expect(seen.headers['content-length']).toBe('13');
  });

  it('has the bytes of a base64 body', async () => {
    const seen = await echo('PUT', '/echo', { body: Buffer.from([0, 255, 254, 128]).toString('base64'), isBase64Encoded: true });
    expect(seen.bytes).toEqual([0, 255, 254, 128]);
  });

  it('has no body when the method has none', async () => {
    expect((await echo('GET', '/echo', { body: 'ignored' })).bytes).toEqual([]);
  });
});

describe('failures', () => {
  it.each(['/throws', '/fails-at-once'])('answers an exception before the first byte as OpenAI does: %s', async (path) => {
    const { prelude, body, failure, id } = await invoke('GET', path).end();
    expect(failure).toBeUndefined();
    expect(prelude).toMatchObject({ statusCode: 500, headers: { 'content-type': 'application/json', 'x-request-id': id } });
    expect(JSON.parse(body)).toEqual({
      error: { message: expect.stringContaining(id), type: 'server_error', param: null, code: 'internal_error' },
    });
    expect(running.log()).not.toContain('secret words');
  });

  it('fails the invocation, without the words, when an answer breaks off', async () => {
    const { prelude, body, failure } = await invoke('GET', '/fails-later').end();
    expect(prelude.statusCode).toBe(200);
    expect(body).toBe('first');
    expect(failure).toEqual({ errorType: 'Error', errorMessage: 'The answer broke off: RangeError.' });
  });

  it.each(['TRACE', 'CONNECT'])('answers 405 to %s', async (method) => {
    const { prelude, body } = await invoke(method, '/v1/models').end();
    expect(prelude).toMatchObject({ statusCode: 405, headers: { allow: expect.stringContaining('GET') } });
    expect(JSON.parse(body).error.code).toBe('method_not_allowed');
  });

  it.each([
    ['an empty event', {}, /version, rawPath, headers, requestContext/],
    ['no event', null, /event/],
    ['a message of a queue', { Records: [{ eventSource: 'aws:sqs', body: 'secret words' }] }, /version/],
    ['payload format 1.0', { version: '1.0', httpMethod: 'GET', path: '/' }, /version/],
    ['headers that are no text', { ...functionUrlEvent('GET', '/'), headers: { a: ['secret words'] } }, /headers\.a/],
    [
      'a domain that is none',
      { ...functionUrlEvent('GET', '/'), requestContext: { domainName: 'a/b', http: { method: 'GET' } } },
      /domainName/,
    ],
    ['a body that is not base64', { ...functionUrlEvent('POST', '/'), body: 'secret words!', isBase64Encoded: true }, /base64/],
  ])('refuses %s by the field at fault', async (_, event, message) => {
    const { failure } = await running.api.invoke(event).end();
    expect(failure?.errorMessage).toMatch(message);
    expect(failure?.errorMessage).not.toContain('secret words');
  });

  it('tells why a function cannot start', async () => {
    const broken = await runLambdaFunction(join(folder, 'nowhere'), {});
    expect((await broken.api.initFailure).errorMessage).toContain('index.mjs');
    await broken.stop();
  });
});
