/**
 * The whole path over sockets, for tests of safety: an HTTP client, the gateway, the AWS SDK, the local SageMaker runtime, which cuts every answer
 * at hostile places, and containers that a test plays in vLLM's own wire form.
 */
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import OpenAI from 'openai';
import { createSageMakerEndpoint } from '../../functions/drivers/sagemaker-endpoint.ts';
import { loadConfig } from '../../functions/gateway/config.ts';
import type { Tokenizer } from '../../layers/tokenizer/index.ts';
import { catalog } from '../../models/catalog.ts';
import { createTestGateway, TEST_KEY } from './gateway.ts';
import { startTestRuntime, type TestRuntime } from './sagemaker-runtime.ts';
import { type ContainerScript, type ScriptedContainer, startScriptedContainer } from './scripted-container.ts';
import { loadModelTokenizer } from './scripted-model.ts';

export interface SafetyStack extends AsyncDisposable {
  readonly client: OpenAI;
  readonly tokenizer: Tokenizer;
  readonly runtime: TestRuntime;
  /** Serves `chat`, which calls tools in Hermes' form and thinks in tags, and `refined` on top of it. */
  readonly model: ScriptedContainer;
  /** Serves the guard. */
  readonly guard: ScriptedContainer;
  /** Serves `minilm`. */
  readonly embeddings: ScriptedContainer;
  readonly logged: readonly { level: string; event: string; fields: object }[];
  /** What the model says to every call, or to the prompt that it reads. */
  says(text: string | ((prompt: string, call: number) => string)): void;
  /** What the model read, call by call, as text. */
  prompts(): readonly string[];
  call(method: string, path: string, body?: unknown, key?: string): Promise<Response>;
  setPolicy(policy: object, owner?: string): Promise<void>;
  /** Lines of the ledger, the newest last. */
  usage(): Promise<readonly UsageLine[]>;
}

export interface UsageLine {
  readonly generation_id: string;
  readonly status: string;
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly [name: string]: unknown;
}

export async function startSafetyStack(environment: Readonly<Record<string, string>> = {}): Promise<SafetyStack> {
  const tokenizer = await loadModelTokenizer();
  const [model, guard, embeddings] = await Promise.all([startScriptedContainer(), startScriptedContainer(), startScriptedContainer()]);
  const runtime = await startTestRuntime({
    endpoints: {
      chat: { containers: [model.url] },
      guard: { containers: [guard.url] },
      minilm: { containers: [embeddings.url] },
    },
  });
  const folder = await mkdtemp(join(tmpdir(), 'penstock-safety-'));
  await writeFile(join(folder, 'catalog.json'), JSON.stringify(describeModels()));
  const endpoint = createSageMakerEndpoint({ client: runtime.client });
  const { app, logged } = await createTestGateway(
    endpoint,
    { PENSTOCK_CATALOG: join(folder, 'catalog.json'), MAX_RETRIES: '0', ...environment },
    (env) => ({ ...loadConfig(env), seesDisconnects: true }),
  );
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 });
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const call: SafetyStack['call'] = (method, path, body, key = TEST_KEY) =>
    fetch(`${url}${path}`, {
      method,
      headers: { authorization: `Bearer ${key}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const readPrompt = (body: string): string => tokenizer.decode((JSON.parse(body) as { prompt: number[] }).prompt);
  return {
    client: new OpenAI({ baseURL: `${url}/v1`, apiKey: TEST_KEY, maxRetries: 0 }),
    tokenizer,
    runtime,
    model,
    guard,
    embeddings,
    logged,
    call,
    says(text) {
      model.play((response, request) =>
        sayLikeVllm(tokenizer, typeof text === 'string' ? text : text(readPrompt(request.body), model.requests.length - 1))(
          response,
          request,
        ),
      );
    },
    prompts: () => model.requests.map(({ body }) => readPrompt(body)),
    async setPolicy(policy, owner = 'projects/default') {
      const response = await call('PUT', `/v1/admin/${owner === '' ? '' : `${owner}/`}safety_policy`, policy);
      if (!response.ok) throw new Error(await response.text());
    },
    async usage() {
      const response = await call('GET', '/v1/usage');
      return ((await response.json()) as { data: UsageLine[] }).data;
    },
    async [Symbol.asyncDispose]() {
      (server as Server).closeAllConnections();
      server.close();
      endpoint.close();
      await runtime[Symbol.asyncDispose]();
      await Promise.all([model, guard, embeddings].map((container) => container[Symbol.asyncDispose]()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function describeModels(): readonly object[] {
  const [small] = catalog;
  if (small === undefined) throw new Error('the catalog is empty');
  const { deployment: _, ...served } = small;
  const created = 1;
  return [
    { ...served, id: 'chat', endpoint: { name: 'chat' }, output: { toolCalls: 'hermes', reasoning: 'think' } },
    { ...served, id: 'guard', endpoint: { name: 'guard' } },
    {
      task: 'embed',
      id: 'minilm',
      created,
      ownedBy: 'test',
      dimensions: 384,
      maxInputTokens: 256,
      takesTokenIds: false,
      endpoint: { name: 'minilm' },
    },
    {
      task: 'refine',
      id: 'refined',
      created,
      ownedBy: 'test',
      model: 'chat',
      maxTokens: 400,
      draft: { share: 0.4, timeoutSeconds: 20 },
      stages: [{ name: 'rewrite', instruction: 'Now write it better.', share: 0.6, timeoutSeconds: 20 }],
      showStages: false,
    },
  ];
}

/**
 * Events of a streamed completion as vLLM 0.32 sends them (test/fixtures/vllm/stream-length.json), a token a chunk, each on its way before the next.
 * @param isEndless the model goes on thinking until somebody stops it
 */
export function sayLikeVllm(tokenizer: Tokenizer, text: string, isEndless = false): ContainerScript {
  const head = { id: 'cmpl-1', object: 'text_completion', created: 1, model: 'chat' };
  return async (response, { body, abandoned }) => {
    const { logprobs } = JSON.parse(body) as { logprobs?: number };
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    const ids = [...tokenizer.encode(text)];
    const send = (data: object | string) =>
      new Promise<void>((resolve) => {
        response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`, () => resolve());
      });
    for (const [index, id] of ids.entries()) {
      if (response.destroyed) return;
      const isLast = index === ids.length - 1 && !isEndless;
      const choice = {
        index: 0,
        text: tokenizer.decode([id]),
        logprobs: logprobs === undefined ? null : describeLogprob(id),
        finish_reason: isLast ? 'stop' : null,
        stop_reason: null,
        prompt_token_ids: null,
        token_ids: [id],
      };
      await send({ ...head, choices: [choice] });
    }
    if (isEndless) return await abandoned;
    await send({ ...head, choices: [], usage: { prompt_tokens: 1, total_tokens: 1 + ids.length, completion_tokens: ids.length } });
    await send('[DONE]');
    response.end();
  };
}

/** As test/fixtures/vllm/stream-logprobs.json has it. */
function describeLogprob(id: number): object {
  const token = `token_id:${id}`;
  return { text_offset: [0], token_logprobs: [-0.5], tokens: [token], top_logprobs: [{ [token]: -0.5 }] };
}

/** Vectors in the form that vLLM sends them, base64 of little-endian float32 (test/fixtures/vllm/whole-embedding.json). */
export function embedLikeVllm(vectorOf: (text: string) => Float32Array): ContainerScript {
  return (response, { body }) => {
    const { input } = JSON.parse(body) as { input: string[] };
    const data = input.map((text, index) => ({
      index,
      object: 'embedding',
      embedding: Buffer.from(vectorOf(text).buffer).toString('base64'),
    }));
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(
        JSON.stringify({ id: 'embd-1', object: 'list', created: 1, model: 'minilm', data, usage: { prompt_tokens: 1, total_tokens: 1 } }),
      );
  };
}

/** A stream of chat chunks, as the official client reads it. */
export async function readChat(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  const choices = new Map<number, { content: string; reasoning: string; arguments: string; tokens: string[]; finish: string | null }>();
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    for (const { index, delta, finish_reason: finish, logprobs } of chunk.choices) {
      const choice = choices.get(index) ?? { content: '', reasoning: '', arguments: '', tokens: [], finish: null };
      choices.set(index, choice);
      choice.content += delta.content ?? '';
      choice.reasoning += (delta as { reasoning_content?: string }).reasoning_content ?? '';
      choice.arguments += (delta.tool_calls ?? []).map((call) => call.function?.arguments ?? '').join('');
      choice.tokens.push(...(logprobs?.content ?? []).map(({ token }) => token));
      choice.finish = finish ?? choice.finish;
    }
  }
  return { choices: [...choices.entries()].sort(([one], [other]) => one - other).map(([, choice]) => choice), usage };
}
