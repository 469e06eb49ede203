import { mkdir, writeFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import type { Recording } from '../support/vllm-recordings.ts';

const FOLDER = new URL('../fixtures/vllm', import.meta.url).pathname;

/** "The capital of France is" in SmolLM2's vocabulary. */
const FRANCE = [504, 3575, 282, 4649, 314];
/** "What is 2+2? Answer with one number." as the model's template renders it: the answer is short and ends by itself. */
const SHORT_CHAT = [
  1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407, 19712, 8182, 2, 198, 1, 4093, 198, 1780, 314,
  216, 34, 27, 34, 47, 19842, 351, 582, 1230, 30, 2, 198, 1, 520, 9531, 198,
];
/** The two halves of a smiling face: neither is UTF-8 by itself. */
const FACE = [10813, 38887];

const ANSWER_SCHEMA = { type: 'object', properties: { answer: { type: 'integer' } }, required: ['answer'], additionalProperties: false };

const streamed = { stream: true, stream_options: { include_usage: true }, return_token_ids: true, temperature: 0 };

const scenarios: Readonly<
  Record<string, { body: Readonly<Record<string, unknown>> | string; path?: string; headers?: Record<string, string> }>
> = {
  'stream-length': { body: { ...streamed, prompt: FRANCE, max_tokens: 8 } },
  'stream-eos': { body: { ...streamed, prompt: SHORT_CHAT, max_tokens: 96 } },
  'stream-stop-token': { body: { ...streamed, prompt: FRANCE, max_tokens: 40, stop_token_ids: [2988] } },
  'stream-logprobs': { body: { ...streamed, prompt: FRANCE, max_tokens: 5, logprobs: 3, return_tokens_as_token_ids: true } },
  'stream-logprobs-zero': { body: { ...streamed, prompt: FRANCE, max_tokens: 3, logprobs: 0, return_tokens_as_token_ids: true } },
  'stream-sampled': { body: { ...streamed, prompt: FRANCE, max_tokens: 12, temperature: 1, top_p: 0.9, seed: 7 } },
  // Bytes of a character over several tokens, in several events: the text of each is whole UTF-8 or empty.
  'stream-emoji': { body: { ...streamed, prompt: [...FRANCE, ...FACE, ...FACE, ...FACE], max_tokens: 6, allowed_token_ids: FACE } },
  'stream-request-id': { body: { ...streamed, prompt: FRANCE, max_tokens: 1, request_id: 'req-recorded' } },
  'stream-without-ids': { body: { ...streamed, prompt: FRANCE, max_tokens: 3, return_token_ids: false } },
  'stream-json-schema': { body: { ...streamed, prompt: SHORT_CHAT, max_tokens: 48, structured_outputs: { json: ANSWER_SCHEMA } } },
  'whole-scores': { body: { prompt: [FRANCE, SHORT_CHAT], echo: true, max_tokens: 0, prompt_logprobs: 2, stream: false } },
  'whole-length': { body: { prompt: FRANCE, max_tokens: 8, temperature: 0, return_token_ids: true } },
  'error-context-length': { body: { ...streamed, prompt: Array.from({ length: 1100 }, () => 504), max_tokens: 8 } },
  'error-vocabulary': { body: { ...streamed, prompt: [49152], max_tokens: 8 } },
  'error-validation': { body: { ...streamed, prompt: FRANCE, max_tokens: 8, temperature: 'hot' } },
  'error-empty-prompt': { body: { ...streamed, prompt: [], max_tokens: 8 } },
  'error-json': { body: '{"prompt": [1, 2' },
  'error-adapter': {
    body: { ...streamed, prompt: FRANCE, max_tokens: 1 },
    headers: { 'x-amzn-sagemaker-adapter-identifier': 'no-such-adapter' },
  },
  'error-session': { body: { ...streamed, prompt: FRANCE, max_tokens: 1 }, headers: { 'x-amzn-sagemaker-session-id': 'a1' } },
};

/** More than --max-num-queued-reqs takes. A stream that is refused has mostly begun with 200 by then. */
const CROWD = 16;
const crowdBody = { prompt: FRANCE, max_tokens: 24, ignore_eos: true };

/** Records what a real vLLM sends, byte for byte, into test/fixtures/vllm. The note there says which server it was. */
export async function recordGeneration(server: string): Promise<void> {
  for (const [name, { body, headers = {} }] of Object.entries(scenarios)) await save(name, await exchange(server, body, headers));
  const isRefusedStream = ({ status, chunks }: Recording) => status === 200 && chunks[0]?.includes('"error"') === true;
  await save('stream-queue-full', await refusedInCrowd(server, { ...crowdBody, ...streamed }, isRefusedStream));
  await save('error-queue-full', await refusedInCrowd(server, crowdBody, ({ status }) => status === 503));
}

/** The same of a server that embeds. */
export async function recordEmbedding(server: string): Promise<void> {
  const body = { input: [FRANCE, SHORT_CHAT], encoding_format: 'base64', request_id: 'req-recorded' };
  await save('whole-embedding', await exchange(server, body, {}));
  await save('whole-embedding-float', await exchange(server, { ...body, encoding_format: 'float' }, {}));
}

async function save(name: string, recording: Recording): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  await writeFile(join(FOLDER, `${name}.json`), encodeRecording(recording));
  process.stderr.write(`${name}: ${recording.status}, ${recording.chunks.length} chunks\n`);
}

async function refusedInCrowd(
  server: string,
  body: Readonly<Record<string, unknown>>,
  isRefusal: (recording: Recording) => boolean,
): Promise<Recording> {
  const crowd = await Promise.all(Array.from({ length: CROWD }, () => exchange(server, body, {})));
  const refused = crowd.find(isRefusal);
  if (refused === undefined) throw new Error('The server refused nobody: start it with --max-num-queued-reqs 3.');
  return refused;
}

function exchange(
  server: string,
  body: Readonly<Record<string, unknown>> | string,
  headers: Readonly<Record<string, string>>,
): Promise<Recording> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const call = httpRequest(
      new URL('/invocations', server),
      { method: 'POST', headers: { 'content-type': 'application/json', ...headers } },
      async (answer) => {
        const chunks: string[] = [];
        // vLLM writes whole events, so that each chunk of the connection is whole UTF-8.
        for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(new TextDecoder('utf-8', { fatal: true }).decode(chunk));
        const { date: _date, server: _server, ...kept } = answer.headers;
        resolve({ request: body, status: answer.statusCode ?? 0, headers: kept, chunks });
      },
    );
    call.on('error', reject);
    call.end(text);
  });
}

/** One chunk a line, so that a recording can be read. */
function encodeRecording({ request, status, headers, chunks }: Recording): string {
  const lines = chunks.map((chunk) => `  ${JSON.stringify(chunk)}`).join(',\n');
  const head = ` "request": ${JSON.stringify(request)},\n "status": ${status},\n "headers": ${JSON.stringify(headers)},\n`;
  return `{\n${head} "chunks": [\n${lines}\n ]\n}\n`;
}
