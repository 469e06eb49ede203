/**
 * SageMaker's runtime API on this machine: what the AWS SDK calls, with signatures checked, answers framed as AWS frames them and
 * faults on demand. Containers do the work; they are reached by URL, so a real vLLM can take the place of our own.
 */
import { randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { SentenceError } from '../sentence-error.ts';
import { takeAsyncInvocation } from './async-invocation.ts';
import type { RuntimeConfig } from './config.ts';
import { answerControlPlane } from './control-plane.ts';
import { Endpoint } from './endpoint.ts';
import { FaultDealer, type FaultPlan, parseFaultPlan } from './faults.ts';
import { createRandom } from './hostile-cuts.ts';
import { answerInvocation } from './invocation.ts';
import { RuntimeError } from './runtime-error.ts';
import { verifySignature } from './verify-signature.ts';

const MAX_PLAN_BYTES = 1024 * 1024;

export function createRuntimeServer(config: RuntimeConfig, plan?: FaultPlan): Server {
  const endpoints = new Map(Object.entries(config.endpoints).map(([name, endpoint]) => [name, new Endpoint(name, endpoint)]));
  const random = createRandom(config.seed);
  let faults = new FaultDealer(plan);

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    if (path === '/ping') return void response.writeHead(200).end();
    if (path === '/_admin/faults') return await administer(request, response);
    const body = await readBody(request, config.maxBodyBytes);
    verifySignature(request, body, config, Date.now());
    const match = /^\/endpoints\/([^/]+)\/(invocations|invocations-response-stream|async-invocations)$/.exec(path);
    const surroundings = { config, endpoints, faults, random, now: () => performance.now() };
    if (path === '/' && 'x-amz-target' in request.headers) return answerControlPlane(request, body, response, surroundings);
    if (match === null || request.method !== 'POST') throw new RuntimeError('UnknownOperationException', 'There is no such operation.');
    const [, name = '', operation] = match;
    if (operation === 'async-invocations') {
      return await takeAsyncInvocation({ endpointName: decode(name), headers: request.headers }, response, surroundings);
    }
    const invocation = { endpointName: decode(name), streams: operation === 'invocations-response-stream', headers: request.headers, body };
    await answerInvocation(invocation, response, surroundings);
  }

  async function administer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isLocal(request)) return sendJson(response, 403, { message: 'Only this machine may set faults, at 127.0.0.1 or localhost.' });
    switch (request.method) {
      case 'PUT':
        try {
          faults = new FaultDealer(parseFaultPlan(JSON.parse((await readBody(request, MAX_PLAN_BYTES)).toString('utf8'))));
        } catch (error) {
          const message = error instanceof SentenceError ? error.message : 'The fault plan is not JSON.';
          return sendJson(response, 400, { message });
        }
        break;
      case 'DELETE':
        faults = new FaultDealer();
        break;
      case 'GET':
        break;
      default:
        response.setHeader('allow', 'GET, PUT, DELETE');
        return sendJson(response, 405, { message: 'Use GET, PUT or DELETE.' });
    }
    sendJson(response, 200, { ...faults.plan, taken: faults.taken });
  }

  return createServer((request, response) => {
    response.setHeader('x-amzn-requestid', randomUUID());
    answer(request, response).catch((error: unknown) => sendError(response, error));
  });
}

function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) return void response.destroy();
  const known = error instanceof RuntimeError ? error : new RuntimeError('InternalFailure', 'An internal failure occurred.');
  if (known !== error)
    process.stderr.write(`${JSON.stringify({ event: 'internal-failure', error: error instanceof Error ? error.stack : String(error) })}\n`);
  response.writeHead(known.status, { 'content-type': 'application/json', 'x-amzn-errortype': known.name }).end(known.body);
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** @throws {RuntimeError} more than the limit; the rest is not read. */
function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const take = (chunk: Buffer) => {
      length += chunk.length;
      chunks.push(chunk);
      if (length <= limitBytes) return;
      request.off('data', take).pause();
      reject(new RuntimeError('ValidationError', `The request body is larger than ${limitBytes} bytes.`));
    };
    request.on('data', take);
    request.once('end', () => resolve(Buffer.concat(chunks)));
    request.once('error', reject);
  });
}

/** The peer and the name it used are this machine: a web page that another name was pointed here for is not. */
function isLocal(request: IncomingMessage): boolean {
  const peer = request.socket.remoteAddress ?? '';
  const host = (request.headers.host ?? '').replace(/:\d+$/, '');
  return /^(::ffff:)?127\.|^::1$/.test(peer) && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(host);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
