/** What is measured of every gateway, through HTTP, with the same requests. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gateway } from './gateways.ts';
import type { Upstream } from './upstream.ts';

type Headers = Readonly<Record<string, string>>;

const LIMIT = 1_000;

/** So many streams at once under a limit of 1,000 tokens: tokens over it that clients got, prompts and answers together. */
export async function overrun(gateway: Gateway, upstream: Upstream, streams: number): Promise<number | undefined> {
  const headers = await gateway.limited();
  if (headers === undefined) return undefined;
  upstream.settings.pauseMs = 1;
  const used = await Promise.all(
    Array.from({ length: streams }, async () => usedTokens(await stream(gateway, { max_tokens: 40, temperature: 1 }, headers))),
  );
  return used.reduce((sum, tokens) => sum + tokens, 0) - LIMIT;
}

/** Of a stream that was read to its end, by the usage that it names. */
async function usedTokens(response: Response): Promise<number> {
  const text = await response.text();
  if (!response.ok) return 0;
  const usage = [...text.matchAll(/"total_tokens":\s*(\d+)/g)].at(-1)?.[1];
  if (usage === undefined) throw new Error(`a stream without usage: ${text.slice(-200)}`);
  return Number(usage);
}

/** The same request so many times at once, under one Idempotency-Key: calls that the model gets, and different answers. */
export async function duplicates(gateway: Gateway, upstream: Upstream, copies: number): Promise<{ calls: number; failed: number }> {
  upstream.settings.pauseMs = 1;
  const before = upstream.calls.length;
  const headers = { ...gateway.headers, 'idempotency-key': crypto.randomUUID() };
  const answers = await Promise.all(Array.from({ length: copies }, () => stream(gateway, { max_tokens: 20 }, headers)));
  await Promise.all(answers.map((answer) => answer.text()));
  return { calls: upstream.calls.length - before, failed: answers.filter((answer) => !answer.ok).length };
}

/** Clients that go away after some tokens of a stream: tokens that the model makes afterwards, sorted. */
export async function tokensAfterDeath(gateway: Gateway, upstream: Upstream, clients: number): Promise<readonly number[]> {
  upstream.settings.pauseMs = 5;
  const wasted: number[] = [];
  for (let client = 0; client < clients; client += 1) {
    const gone = new AbortController();
    const response = await stream(gateway, { max_tokens: 200 }, gateway.headers, gone.signal);
    const reader = response.body?.getReader();
    for (let read = 0; read < 3 + (client % 17); read += 1) await reader?.read();
    const call = upstream.calls.at(-1);
    if (call === undefined) throw new Error('the model was not called');
    const before = call.generated;
    gone.abort();
    for (let waited = 0; waited < 400 && !call.isOver; waited += 1) await sleep(5);
    wasted.push(call.generated - before);
  }
  return wasted.sort((one, other) => one - other);
}

/** The model breaks after each number of tokens from 0 on: answers that are, all the same, the undisturbed one. */
export async function brokenAnswers(gateway: Gateway, upstream: Upstream, positions: number): Promise<number> {
  upstream.settings.pauseMs = 1;
  const ask = async () => readText(await stream(gateway, { max_tokens: positions }, gateway.headers));
  const whole = await ask();
  let same = 0;
  for (let position = 0; position < positions; position += 1) {
    upstream.settings.breaksAfter = position;
    const text = await ask().catch(() => undefined);
    if (text === whole) same += 1;
  }
  return same;
}

/** So many clients while the model takes nobody for some seconds: those that get no whole answer. */
export async function turnedAway(gateway: Gateway, upstream: Upstream, clients: number, busySeconds: number): Promise<number> {
  upstream.settings.pauseMs = 1;
  upstream.settings.busyUntil = Date.now() + busySeconds * 1000;
  const answers = await Promise.all(
    Array.from({ length: clients }, async () => readText(await stream(gateway, { max_tokens: 8 }, gateway.headers)).catch(() => undefined)),
  );
  upstream.settings.busyUntil = 0;
  return answers.filter((text) => text === undefined || text === '').length;
}

/** What a stream says, when it comes to its end; `undefined` when it breaks off or ends in an error. */
async function readText(response: Response): Promise<string | undefined> {
  const text = await response.text();
  if (!response.ok || !text.includes('[DONE]')) return undefined;
  const deltas = [...text.matchAll(/"content":"((?:[^"\\]|\\.)*)"/g)];
  return deltas.map(([, delta]) => delta).join('');
}

/** Milliseconds until the first byte of a stream's body. */
export async function timeToFirstToken(url: string, model: string, headers: Headers): Promise<number> {
  const startedAt = performance.now();
  const response = await post(url, { ...REQUEST, model, max_tokens: 4 }, headers);
  if (!response.ok || response.body === null) throw new Error(`${url}: ${response.status} ${await response.text()}`);
  let first = Number.NaN;
  for await (const _ of response.body) if (Number.isNaN(first)) first = performance.now() - startedAt;
  return first;
}

/** A client that lost its connection asks again from the last event that it saw: the rest of the same answer, a new answer, or an error. */
export async function resume(gateway: Gateway, upstream: Upstream): Promise<'the same answer' | 'a new answer' | 'an error'> {
  upstream.settings.pauseMs = 5;
  const gone = new AbortController();
  const headers = { ...gateway.headers, 'x-penstock-lease': '30' }; // a header that others leave alone
  const response = await stream(gateway, { max_tokens: 60 }, headers, gone.signal);
  const generation = response.headers.get('x-penstock-generation');
  const reader = response.body?.getReader();
  for (let read = 0; read < 3; read += 1) await reader?.read();
  gone.abort();
  const before = upstream.calls.length;
  const again =
    generation === null
      ? await stream(gateway, { max_tokens: 60 }, { ...headers, 'last-event-id': '3' })
      : await fetch(`${gateway.url}/generations/${generation}/events`, { headers: { ...headers, 'last-event-id': '3' } });
  const text = await again.text();
  if (!again.ok || !text.includes('[DONE]')) return 'an error';
  return upstream.calls.length > before ? 'a new answer' : 'the same answer';
}

const REQUEST = {
  messages: [{ role: 'user', content: 'Say some words.' }],
  stream: true,
  stream_options: { include_usage: true },
  temperature: 0,
};

function stream(gateway: Gateway, body: object, headers: Headers, signal?: AbortSignal): Promise<Response> {
  return post(`${gateway.url}/chat/completions`, { ...REQUEST, model: gateway.model, ...body }, headers, signal);
}

function post(url: string, body: object, headers: Headers, signal?: AbortSignal): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  });
}
