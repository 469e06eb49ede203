import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AnswerCheck, type CanaryFailedError } from '../../../functions/canary/check-answer.ts';
import { probeGeneration } from '../../../functions/canary/probe-generation.ts';

/** As https://platform.openai.com/docs/api-reference/chat-streaming describes a stream with `include_usage`. */
const chunk = (fields: object) =>
  `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', model: 'm', ...fields })}\n\n`;
const delta = (content: object, finish_reason: string | null = null) => chunk({ choices: [{ index: 0, delta: content, finish_reason }] });
const usage = (fields: object = {}) =>
  chunk({ choices: [], usage: { prompt_tokens: 9, completion_tokens: 3, total_tokens: 12, ...fields } });
const ROLE = delta({ role: 'assistant', content: '' });
const ONE = delta({ content: 'un' });
const TWO = delta({ content: ' déjà' });
const STOP = delta({}, 'stop');
const DONE = 'data: [DONE]\n\n';
const GOOD = [ROLE, ': keep-alive\n\n', 'event: status\ndata: {"state":"waiting"}\n\n', ONE, TWO, STOP, usage(), DONE];

const KEY = 'sk-of-the-canary';

async function serve(answer: RequestListener): Promise<{ url: string } & AsyncDisposable> {
  const server = createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, // a TCP server has a port
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

const streams =
  (pieces: readonly string[], headers: Record<string, string> = { 'content-type': 'text/event-stream; charset=utf-8' }): RequestListener =>
  (_, response) => {
    response.writeHead(200, { 'x-request-id': 'req_1', ...headers });
    for (const piece of pieces) response.write(piece);
    response.end();
  };

async function probe(answer: RequestListener, deadlineMs = 20_000) {
  await using server = await serve(answer);
  return await probeGeneration({ baseUrl: server.url, apiKey: KEY, deadlineMs }, 'm', () => performance.now());
}

async function failureOf(answer: RequestListener, deadlineMs?: number): Promise<CanaryFailedError> {
  return probe(answer, deadlineMs).then(
    () => expect.fail('the canary was content'),
    (error: CanaryFailedError) => error,
  );
}

describe('the canary', () => {
  it('asks as any client does, for something that no cache answers', async () => {
    const asked: { url: string | undefined; key: string | undefined; body: Record<string, unknown> }[] = [];
    await probe(async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part);
      asked.push({ url: request.url, key: request.headers.authorization, body: JSON.parse(Buffer.concat(parts).toString()) });
      streams(GOOD)(request, response);
    });
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({
      url: '/v1/chat/completions',
      key: `Bearer ${KEY}`,
      body: { model: 'm', stream: true, stream_options: { include_usage: true } },
    });
    expect(asked[0]?.body['temperature']).not.toBe(0);
    expect(asked[0]?.body).not.toHaveProperty('seed');
  });

  it('measures from its call to the first text, and the tokens after it', async () => {
    // The clock is the answer's own: 40 ms to the first text, two more tokens in the 500 ms after it.
    const times = [1000, 1040, 1540];
    let reads = 0;
    const later = Promise.withResolvers<void>();
    const answer: RequestListener = async (_, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'x-request-id': 'req_7' });
      response.write(ROLE + ONE);
      await later.promise;
      response.end(TWO + STOP + usage() + DONE);
    };
    await using server = await serve(answer);
    const now = () => {
      reads += 1;
      if (reads === 2) later.resolve(); // the first text has arrived
      return times[Math.min(reads - 1, 2)] ?? 0;
    };
    expect(await probeGeneration({ baseUrl: server.url, apiKey: KEY, deadlineMs: 20_000 }, 'm', now)).toEqual({
      timeToFirstTokenMs: 40,
      tokensPerSecond: 4,
      completionTokens: 3,
      requestId: 'req_7',
    });
  });

  it('takes thoughts for text: a model that thinks may write nothing else in so few tokens', async () => {
    const thoughts = [ROLE, delta({ reasoning_content: 'hm' }), delta({}, 'length'), usage(), DONE];
    expect(await probe(streams(thoughts))).toMatchObject({ completionTokens: 3 });
  });

  it('tells no speed of an answer that came at once', async () => {
    await using server = await serve(streams(GOOD));
    const measurement = await probeGeneration({ baseUrl: server.url, apiKey: KEY, deadlineMs: 20_000 }, 'm', () => 5);
    expect(measurement.tokensPerSecond).toBeUndefined();
  });

  it.each<[string, RequestListener, string, string?]>([
    [
      'a key that is refused',
      (_, response) =>
        void response.writeHead(401).end('{"error":{"message":"…","type":"invalid_request_error","code":"invalid_api_key"}}'),
      'refused',
      '401 invalid_api_key',
    ],
    ['a page of the CDN', (_, response) => void response.writeHead(502).end('<html>Bad gateway</html>'), 'refused', '502'],
    [
      'a code that is no word',
      (_, response) => void response.writeHead(400).end(JSON.stringify({ error: { code: 'you said: “secret”' } })),
      'refused',
      '400',
    ],
    ['a redirect, which would take the key along', (_, response) => void response.writeHead(307, { location: '/' }).end(), 'unreachable'],
    ['a server that hangs up', (request) => void request.socket.destroy(), 'unreachable'],
    ['a whole answer', streams(['{}'], { 'content-type': 'application/json' }), 'no-event-stream'],
    [
      'an error event',
      streams([ROLE, ONE, 'data: {"error":{"message":"…","code":"endpoint_unavailable"}}\n\n']),
      'error-event',
      'endpoint_unavailable',
    ],
    ['a stream without [DONE]', streams(GOOD.slice(0, -1)), 'cut'],
    [
      'a stream that breaks',
      (_, response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(ONE, () => response.destroy()),
      'cut',
    ],
    ['an event after [DONE]', streams([...GOOD, ONE]), 'malformed'],
    ['an event that is no chunk', streams([ROLE, 'data: {"choices":"none"}\n\n', DONE]), 'malformed'],
    ['an event that is no JSON', streams([ROLE, 'data: {\n\n', DONE]), 'malformed'],
    ['no text', streams([ROLE, STOP, usage(), DONE]), 'no-text'],
    ['no finish reason', streams([ROLE, ONE, usage(), DONE]), 'wrong-finish-reason'],
    ['another finish reason', streams([ROLE, ONE, delta({}, 'content_filter'), usage(), DONE]), 'wrong-finish-reason'],
    ['two finish reasons', streams([ROLE, ONE, STOP, STOP, usage(), DONE]), 'wrong-finish-reason'],
    ['text after the end', streams([ROLE, ONE, STOP, TWO, usage(), DONE]), 'wrong-finish-reason'],
    ['no usage', streams([ROLE, ONE, STOP, DONE]), 'wrong-usage'],
    ['usage that does not add up', streams([ROLE, ONE, STOP, usage({ total_tokens: 13 }), DONE]), 'wrong-usage'],
    ['usage of nothing', streams([ROLE, ONE, STOP, usage({ completion_tokens: 0, total_tokens: 9 }), DONE]), 'wrong-usage'],
    [
      'more tokens than were asked for',
      streams([ROLE, ONE, STOP, usage({ completion_tokens: 25, total_tokens: 34 }), DONE]),
      'wrong-usage',
    ],
    ['usage twice', streams([ROLE, ONE, STOP, usage(), usage(), DONE]), 'wrong-usage'],
  ])('finds %s', async (_, answer, failure, detail) => {
    expect(await failureOf(answer)).toMatchObject({ failure, detail });
  });

  it('gives up an answer that does not end in time, before its first byte and after it', async () => {
    expect((await failureOf(() => undefined, 200)).failure).toBe('too-late');
    const stalls: RequestListener = (_, response) => void response.writeHead(200, { 'content-type': 'text/event-stream' }).write(ONE);
    expect((await failureOf(stalls, 200)).failure).toBe('too-late');
  });

  it('names the request that failed, when its name is one', async () => {
    expect((await failureOf(streams([ROLE, DONE]))).requestId).toBe('req_1');
    const odd = streams([ROLE, DONE], { 'content-type': 'text/event-stream', 'x-request-id': 'a "name"' });
    expect((await failureOf(odd)).requestId).toBeUndefined();
  });
});

describe('the check of an answer', () => {
  const bytes = Buffer.from(GOOD.join(''));
  const feed = (cuts: readonly number[], end: number): AnswerCheck => {
    const check = new AnswerCheck(24);
    const places = [...new Set(cuts.map((cut) => cut % end))].sort((a, b) => a - b);
    for (const [index, from] of [0, ...places].entries()) check.push(bytes.subarray(from, places[index] ?? end), index);
    return check;
  };

  it('says the same however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.nat()), (cuts) => {
        const { completionTokens, firstTextAt, lastTextAt } = feed(cuts, bytes.length).finish();
        expect(completionTokens).toBe(3);
        expect(lastTextAt).toBeGreaterThanOrEqual(firstTextAt);
      }),
    );
  });

  it('takes no beginning for the whole', () => {
    fc.assert(
      fc.property(fc.array(fc.nat()), fc.integer({ min: 1, max: bytes.length - 1 }), (cuts, end) => {
        expect(() => feed(cuts, end).finish()).toThrow('The generation failed: cut.');
      }),
    );
  });
});
