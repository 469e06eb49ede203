/** The container's HTTP side: GET /ping, POST /invocations, GET /metrics. The engine computes in its own thread. */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import {
  ADAPTER_HEADER,
  type CompletionChunk,
  DONE,
  encodeEvent,
  InvocationError,
  type InvocationErrorBody,
  parseCompletionInvocation,
  REQUEST_ID_HEADER,
} from '../../invocation.ts';
import type { EmbeddingClient } from '../embeddings/embedding-client.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import type { GrammarSpec } from '../engine/grammar.ts';
import { AdapterRegistry } from './adapter-registry.ts';
import { answerEmbedding } from './answer-embedding.ts';
import type { Log } from './log.ts';
import { Metrics } from './metrics.ts';
import { planCompletion, type ServedModel } from './plan-completion.ts';
import { planGrammar } from './plan-grammar.ts';
import { answerCompletion, type CompletionRun, streamCompletion } from './run-completion.ts';

export interface ContainerServer {
  readonly server: Server;
  /** Refuses new requests and resolves when the running answers are finished. */
  drain(): Promise<void>;
}

/** SageMaker takes bodies up to 25 MB. */
const MAX_BODY_BYTES = 32 << 20;

export interface ContainerExtras {
  /** Adapters may be loaded from its subfolders. */
  readonly adaptersFolder?: string | undefined;
  /** Answers bodies with `input`. */
  readonly embeddings?: EmbeddingClient | undefined;
}

export function createContainerServer(
  engine: EngineClient,
  model: ServedModel,
  log: Log,
  { adaptersFolder, embeddings }: ContainerExtras = {},
): ContainerServer {
  const adapters = new AdapterRegistry(engine, adaptersFolder);
  const metrics = new Metrics();
  const running = new Set<Promise<void>>();
  let draining = false;
  let requests = 0;

  const server = createServer((request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (path === '/ping' || path === '/health') return void respond(response, draining ? 503 : 200);
    if (path === '/metrics') return void respond(response, 200, metrics.render(model.name, engine.status), 'text/plain; version=0.0.4');
    if (path?.startsWith('/adapters') || path?.endsWith('_lora_adapter')) return void manageAdapters(request, response, path);
    if (path !== '/invocations') return void respondError(response, new InvocationError('Not Found', { code: 404 }));
    if (request.method !== 'POST') return void respondError(response, new InvocationError('Method Not Allowed', { code: 405 }));
    const handled = handle(request, response).finally(() => running.delete(handled));
    running.add(handled);
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const startedAt = performance.now();
    const gone = new AbortController();
    response.once('close', () => {
      if (!response.writableFinished) gone.abort(new Error('the caller is gone'));
    });
    let id = '';
    try {
      if (draining) {
        metrics.countRejected('draining');
        throw new InvocationError('This container is shutting down.', { code: 503, type: 'ServiceUnavailableError' });
      }
      const received = await readBody(request);
      id = `cmpl-${header(request, REQUEST_ID_HEADER) ?? received.requestId ?? randomBytes(8).toString('hex')}`;
      if (embeddings !== undefined && typeof received.value === 'object' && received.value !== null && 'input' in received.value) {
        const answer = await answerEmbedding(received.value, id, model.name, embeddings, gone.signal);
        respond(response, 200, JSON.stringify(answer), 'application/json');
        log('info', 'embedded', { id, texts: answer.data.length, milliseconds: Math.round(performance.now() - startedAt) });
        return;
      }
      const adapter = readAdapter(request, model, adapters);
      const body = parseCompletionInvocation(received.value);
      const grammar = planGrammar(body);
      if (grammar !== undefined) await checkGrammar(engine, grammar);
      const plan = await planCompletion(body, model, { grammar, adapter }, () => `${requests++}`);
      const created = Math.floor(Date.now() / 1000);
      const run: CompletionRun = {
        id,
        body,
        plan,
        model: { ...model, name: adapter ?? model.name },
        engine,
        metrics,
        created,
        signal: gone.signal,
      };
      if (body.stream) await stream(run, response);
      else respond(response, 200, JSON.stringify(await answerCompletion(run)), 'application/json');
      log('info', 'answered', { id, stream: body.stream, milliseconds: Math.round(performance.now() - startedAt) });
    } catch (error) {
      if (gone.signal.aborted) {
        log('info', 'abandoned', { id, milliseconds: Math.round(performance.now() - startedAt) });
        return;
      }
      const told = error instanceof InvocationError ? error : new InvocationError('Internal server error', { code: 500, cause: error });
      log(told.code >= 500 ? 'error' : 'info', 'refused', { id, status: told.code, reason: describe(error) });
      respondError(response, told);
    }
  }

  /** vLLM's paths and SageMaker's. */
  async function manageAdapters(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    try {
      const say = (sentence: string) => respond(response, 200, sentence, 'text/plain');
      if (request.method === 'DELETE' && path.startsWith('/adapters/')) {
        return say(`Adapter ${adapters.unload(decodeURIComponent(path.slice('/adapters/'.length)))} unregistered`);
      }
      if (request.method !== 'POST') throw new InvocationError('Method Not Allowed', { code: 405 });
      const { value } = await readBody(request);
      const body = typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}; // an object's keys
      if (path === '/adapters') return say(`Adapter ${await adapters.load(body['name'], body['src'])} registered`);
      if (path === '/v1/load_lora_adapter') {
        return say(`Success: LoRA adapter '${await adapters.load(body['lora_name'], body['lora_path'])}' added successfully.`);
      }
      if (path === '/v1/unload_lora_adapter') {
        return say(`Success: LoRA adapter '${adapters.unload(body['lora_name'])}' removed successfully.`);
      }
      throw new InvocationError('Not Found', { code: 404 });
    } catch (error) {
      const told = error instanceof URIError ? new InvocationError('The path is no valid URL.') : error;
      respondError(response, told instanceof InvocationError ? told : new InvocationError('Internal server error', { code: 500 }));
    }
  }

  return {
    server,
    async drain() {
      draining = true;
      server.close();
      await Promise.all(running);
      server.closeAllConnections();
    },
  };
}

/** Before anything is answered: a grammar that cannot be enforced is the caller's to mend. */
async function checkGrammar(engine: EngineClient, grammar: GrammarSpec): Promise<void> {
  const problem = await engine.checkGrammar(grammar);
  if (problem === undefined) return;
  throw new InvocationError(`The ${grammar.type.replace('-', ' ')} cannot be enforced: ${problem}.`, { param: 'structured_outputs' });
}

/** The status goes out before the engine has a say, as vLLM's does: a full queue is an error event inside a 200. */
async function stream(run: CompletionRun, response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' });
  response.flushHeaders();
  const send = (value: CompletionChunk | InvocationErrorBody | typeof DONE) => response.write(encodeEvent(value));
  try {
    await streamCompletion(run, send);
  } catch (error) {
    if (!(error instanceof InvocationError)) throw error;
    send(error.toBody());
  }
  send(DONE);
  response.end();
}

async function readBody(request: IncomingMessage): Promise<{ value: unknown; requestId: string | undefined }> {
  const type = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new InvocationError("Unsupported Media Type: Only 'application/json' is allowed", { type: 'Bad Request' });
  }
  const tooLarge = () => new InvocationError(`The body is larger than ${MAX_BODY_BYTES} bytes.`, { code: 413 });
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge();
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop must not destroy the connection, which still has to carry the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new InvocationError('JSON decode error: the body is no JSON.', { type: 'Bad Request' });
  }
  const requestId = typeof value === 'object' && value !== null && 'request_id' in value ? value.request_id : undefined;
  return { value, requestId: typeof requestId === 'string' ? requestId : undefined };
}

/** The adapter that the header names; the body's `model` has no say. */
function readAdapter(request: IncomingMessage, model: ServedModel, adapters: AdapterRegistry): string | undefined {
  if (header(request, 'x-amzn-sagemaker-session-id') !== undefined) {
    throw new InvocationError('stateful sessions not enabled', { type: 'Bad Request' });
  }
  const adapter = header(request, ADAPTER_HEADER);
  if (adapter === undefined || adapter === model.name) return undefined;
  if (!adapters.has(adapter)) throw new InvocationError(`The model \`${adapter}\` does not exist.`, { code: 404, param: 'model' });
  return adapter;
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function respond(response: ServerResponse, status: number, body = '', type?: string): void {
  response
    .writeHead(status, { 'content-length': Buffer.byteLength(body), ...(type === undefined ? {} : { 'content-type': type }) })
    .end(body);
}

function respondError(response: ServerResponse, error: InvocationError): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (error.code === 413) response.setHeader('connection', 'close'); // the rest of the body is not read
  respond(response, error.code, JSON.stringify(error.toBody()), 'application/json');
}

/** The error's sentence, which holds no text of the request; of an unexpected one the class alone. */
function describe(error: unknown): string {
  if (error instanceof InvocationError) return error.param ?? error.type;
  return error instanceof Error ? error.name : 'unknown';
}
