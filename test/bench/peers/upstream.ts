/**
 * One stand-in for a model, behind every gateway that is measured: `POST /invocations` as vLLM's container has it, ids in and out, for ours, and
 * `POST /v1/chat/completions` as OpenAI has it for the others. It counts what it generates and when a caller left, as an engine would.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import * as v from 'valibot';

export interface UpstreamCall {
  generated: number;
  /** Nothing more is generated: all was, or the caller left. */
  isOver: boolean;
}

export interface Upstream extends AsyncDisposable {
  readonly url: string;
  /** In the order in which they came. */
  readonly calls: readonly UpstreamCall[];
  readonly settings: UpstreamSettings;
}

export interface UpstreamSettings {
  /** Pause before each token, in milliseconds; 0 sends all at once. */
  pauseMs: number;
  /** The next call breaks after so many tokens, once. */
  breaksAfter: number | undefined;
  /** Until then, in milliseconds since the epoch, it says that it is busy (503), as vLLM does whose queue is full. */
  busyUntil: number;
}

const bodySchema = v.object({
  max_tokens: v.optional(v.number(), 16),
  prompt: v.optional(v.array(v.number())),
  messages: v.optional(v.array(v.unknown())),
  stream: v.optional(v.boolean(), false),
});

/**
 * Ordinary words of the tokenizer that ours has: not an end of turn, not a control token. Which one is next depends on how many are there, so that
 * a call with the tokens of an earlier one goes on as that one would have.
 */
const FIRST_ID = 1_000;
/** What it says a chat's prompt has; of `/invocations` the ids are counted. */
const CHAT_PROMPT_TOKENS = 10;

export async function startUpstream(): Promise<Upstream> {
  const calls: UpstreamCall[] = [];
  const settings: UpstreamSettings = { pauseMs: 0, breaksAfter: undefined, busyUntil: 0 };
  const server = createServer((request, response) => {
    answer(request, response, calls, settings).catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    settings,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  calls: UpstreamCall[],
  settings: UpstreamSettings,
): Promise<void> {
  if (request.method === 'GET') {
    response.end('{}');
    return;
  }
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer); // a request without an encoding gives buffers
  if (Date.now() < settings.busyUntil) {
    const error = { message: 'The engine is currently busy. Try again later.', type: 'ServiceUnavailableError', code: 503 };
    response.writeHead(503, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));
    return;
  }
  const { max_tokens: maxTokens, prompt, stream } = v.parse(bodySchema, JSON.parse(Buffer.concat(chunks).toString('utf8')));
  const call: UpstreamCall = { generated: 0, isOver: false };
  calls.push(call);
  const { breaksAfter } = settings;
  settings.breaksAfter = undefined;
  response.once('close', () => {
    call.isOver = true;
  });
  const isChat = prompt === undefined;
  const head = { id: `chatcmpl-${calls.length}`, object: 'chat.completion.chunk', created: 1_700_000_000, model: 'stand-in' };
  const usage = {
    prompt_tokens: prompt?.length ?? CHAT_PROMPT_TOKENS,
    completion_tokens: maxTokens,
    total_tokens: maxTokens + (prompt?.length ?? CHAT_PROMPT_TOKENS),
  };
  if (!stream) {
    const content = Array.from({ length: maxTokens }, (_, index) => `w${index} `).join('');
    call.generated = maxTokens;
    const choices = [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'length' }];
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ ...head, object: 'chat.completion', choices, usage }));
    return;
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.flushHeaders();
  for (let index = 0; index < maxTokens && !call.isOver; index += 1) {
    if (index === breaksAfter) return void response.destroy();
    if (settings.pauseMs > 0) await sleep(settings.pauseMs);
    if (call.isOver) return;
    const finishReason = index === maxTokens - 1 ? 'length' : null;
    const choice = isChat
      ? { index: 0, delta: { role: 'assistant', content: `w${index} ` }, finish_reason: finishReason }
      : { index: 0, text: '', logprobs: null, finish_reason: finishReason, token_ids: [FIRST_ID + prompt.length + index] };
    call.generated += 1;
    response.write(`data: ${JSON.stringify(isChat ? { ...head, choices: [choice] } : { choices: [choice] })}\n\n`);
  }
  if (isChat) response.write(`data: ${JSON.stringify({ ...head, choices: [], usage })}\n\n`);
  response.end('data: [DONE]\n\n');
}
