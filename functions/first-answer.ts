/** AWS as far as one request needs it, while a bundled function answers its first: a table without items, and a model that says one word. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { payloadPart } from '../models/local/sagemaker-runtime/event-frames.ts';

/** As vLLM streams it: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html (completions, `return_token_ids`) */
const WORD = { index: 0, text: 'Hi', logprobs: null, finish_reason: null, stop_reason: null, token_ids: [1] };
const CHUNKS = [
  { choices: [{ ...WORD, prompt_token_ids: [1] }] },
  { choices: [{ ...WORD, text: '', token_ids: [], finish_reason: 'stop' }] },
  { choices: [], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } },
].map((chunk) => `data: ${JSON.stringify({ id: 'cmpl-0', object: 'text_completion', created: 0, model: 'none', ...chunk })}\n\n`);
const ANSWER = Buffer.concat([...CHUNKS, 'data: [DONE]\n\n'].map((text) => payloadPart(Buffer.from(text))));

export interface StandIn extends AsyncDisposable {
  readonly url: string;
}

export async function standInForAws(): Promise<StandIn> {
  const server = createServer((request, response) => {
    request.resume();
    if (request.url?.endsWith('/invocations-response-stream') !== true) {
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end('{}');
      return;
    }
    response.writeHead(200, {
      'content-type': 'application/vnd.amazon.eventstream',
      'x-amzn-sagemaker-content-type': 'text/event-stream',
    });
    response.end(ANSWER); // in one piece, so that the function takes the same way each time
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // a TCP server's address is an object
  return {
    url: `http://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
