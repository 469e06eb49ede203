/**
 * `npm run penstock -- privacy prove [--seed-leak]`: does `store: false` leave nothing behind, and is a user who was deleted gone? Runs the gateway as a process of its own over a SQLite file, the
 * SDK and our SageMaker runtime, in front of a container that answers with the prompt's own tokens. Plants a canary in prompts and answers, goes
 * through ordinary, refused, broken, cancelled, resumed and killed requests, keeps answers for a user and deletes that user, and searches everything
 * that was written. Two stored answers, one whole and one streamed, are the control: a search that does not find them proves nothing.
 * `--seed-leak` runs a gateway with a bug that it must not have (`leaky-gateway.ts`): the search must find it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseArgs } from 'node:util';
import { createFolderTokenizerFiles } from '../../functions/drivers/folder-tokenizer-files.ts';
import { loadServedModels } from '../../functions/gateway/served-models.ts';
import { catalog } from '../../models/catalog.ts';
import { freePort } from '../../models/local/free-port.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION } from '../support/sagemaker-runtime.ts';
import { startScriptedContainer } from '../support/scripted-container.ts';

const MODEL = 'smollm2-135m-instruct';
/** Of a hostile prompt, the container breaks after so many tokens and quotes the prompt in its error. */
const BREAKS = 'please break';

const { values } = parseArgs({ options: { 'seed-leak': { type: 'boolean', default: false } } });
const folder = mkdtempSync(join(tmpdir(), 'penstock-privacy-'));
let terminal = '';
const children: ChildProcess[] = [];

await using container = await startScriptedContainer();
await using runtime = await startTestRuntime({
  endpoints: { 'penstock-gpt': { inferenceComponents: { [MODEL]: { containers: [container.url] } } } },
});
const tokenizers = new URL('../../models/tokenizers', import.meta.url).pathname;
const model = (
  await loadServedModels(
    catalog.filter((served) => served.id === MODEL),
    createFolderTokenizerFiles(tokenizers),
  )
).get(MODEL);
if (model === undefined) throw new Error(`the catalog has no ${MODEL}`);
const { tokenizer } = model;

container.play(async (response, request) => {
  const { prompt } = JSON.parse(request.body) as { prompt: number[] };
  const quoted = tokenizer.decode(prompt);
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const [index, tokenId] of prompt.entries()) {
    if (response.destroyed) return;
    const choice = { index: 0, text: '', logprobs: null, finish_reason: index === prompt.length - 1 ? 'stop' : null, token_ids: [tokenId] };
    response.write(`data: ${JSON.stringify({ choices: [choice] })}\n\n`);
    if (quoted.includes(BREAKS) && index === 12) {
      response.end(
        `data: ${JSON.stringify({ error: { message: `cannot go on after: ${quoted}`, type: 'InternalServerError', code: 500 } })}\n\n`,
      );
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  response.end('data: [DONE]\n\n');
});

const control = [`CONTROL-${randomBytes(9).toString('hex')}`, `CONTROL-${randomBytes(9).toString('hex')}`] as const;
const canaries: { readonly name: string; readonly text: string }[] = [];
try {
  let url = await startGateway();
  const plant = (name: string) => {
    const text = `CANARY-${randomBytes(9).toString('hex')}`;
    canaries.push({ name, text });
    return text;
  };
  const ask = (path: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/${path}`, {
      method: 'POST',
      headers: { authorization: 'Bearer sk-local', 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  const chat = (content: string, more: object = {}) => ({ model: MODEL, messages: [{ role: 'user', content }], store: false, ...more });
  /** An ordinary answer: one that is refused would leave nothing behind for another reason. */
  const answered = async (response: Response | Promise<Response>): Promise<string> => {
    const { status } = await response;
    const text = await (await response).text();
    if (status !== 200) throw new Error(`a request of the proof was refused with ${status}: ${text}`);
    return text;
  };
  const dropped = async (response: Response): Promise<string | null> => {
    if (response.status !== 200) throw new Error(`a request of the proof was refused with ${response.status}: ${await response.text()}`);
    const reader = response.body?.getReader();
    await reader?.read();
    await reader?.cancel().catch(() => undefined);
    return response.headers.get('x-penstock-generation');
  };

  await answered(ask('chat/completions', { ...chat(`Say ${control[0]} again.`), store: true }));
  await answered(ask('chat/completions', { ...chat(`Say ${control[1]} again.`, { stream: true }), store: true }));

  await answered(ask('chat/completions', chat(`Whole ${plant('a whole answer')}`)));
  await answered(ask('chat/completions', chat(`Stream ${plant('a stream')}`, { stream: true })));
  await answered(ask('chat/completions', chat(`Log ${plant('log-probabilities')}`, { stream: true, logprobs: true, top_logprobs: 2 })));
  await answered(ask('responses', { model: MODEL, input: `Response ${plant('a response')}`, store: false }));
  await answered(ask('responses', { model: MODEL, input: `Response ${plant('a streamed response')}`, store: false, stream: true }));
  await answered(ask('chat/completions', chat(`Again ${plant('an Idempotency-Key')}`), { 'idempotency-key': 'privacy-1' }));
  // Requests that are refused, with the canary where an error message might repeat it.
  await (await ask('chat/completions', chat('x', { [plant('an unknown field')]: 1 }))).text();
  await (await ask('chat/completions', `{"model": "${plant('no JSON')}`)).text();
  await (await ask('chat/completions', chat('x', { model: plant('an unknown model') }))).text();
  await (await ask('chat/completions', chat(plant('a wrong type'), { temperature: plant('a wrong value') }))).text();
  await (await ask('chat/completions', chat(`${plant('too long')} `.repeat(4_000)))).text();
  const broken = await answered(
    ask('chat/completions', chat(`${BREAKS} ${plant('an endpoint that breaks and quotes the prompt')}`, { stream: true })),
  );
  if (!broken.includes('endpoint_failed')) throw new Error('the endpoint did not break: this run proves nothing');

  await dropped(await ask('chat/completions', chat(`Leave ${plant('a client that leaves')}`.repeat(3), { stream: true })));
  const id = await dropped(
    await ask('chat/completions', chat(`Resume ${plant('a lease and a resume')}`.repeat(3), { stream: true }), {
      'x-penstock-lease': '30',
    }),
  );
  await answered(fetch(`${url}/v1/generations/${id}/events`, { headers: { authorization: 'Bearer sk-local' } }));
  // Everything that is kept of a user, to be deleted by the gateway after the crash.
  const firstOfUser = canaries.length;
  const user = plant('the name of a deleted user');
  const conversation = (await (await ask('conversations', {})).json()) as { id: string };
  const kept = { store: true, user };
  await answered(ask('chat/completions', { ...chat(`Keep ${plant("a deleted user's answer")}`), ...kept }));
  await answered(ask('chat/completions', { ...chat(`Keep ${plant("a deleted user's stream")}`, { stream: true }), ...kept }));
  await answered(ask('responses', { model: MODEL, input: `Keep ${plant("a deleted user's response")}`, ...kept }));
  await answered(
    ask('responses', { model: MODEL, input: `Keep ${plant("a deleted user's conversation")}`, conversation: conversation.id, ...kept }),
  );
  const ofUser = canaries.slice(firstOfUser);
  // Killed in mid-stream, and started again over the same file.
  const crashed = await ask('chat/completions', chat(`Crash ${plant('a killed gateway')}`.repeat(3), { stream: true }));
  await crashed.body?.getReader().read();
  await kill('SIGKILL');
  url = await startGateway();
  await answered(ask('chat/completions', chat(`After ${plant('the gateway after it')}`)));
  const missing = findIn(collectSinks(), ofUser).filter(({ found }) => found.length === 0);
  if (missing.length > 0) throw new Error(`not kept, so its deletion proves nothing: ${missing.map(({ name }) => name).join(', ')}`);
  const forgotten = await answered(ask('admin/users/forget', { user }));
  if (!/"generations":4,"responses":2,"conversations":1/.test(forgotten)) throw new Error(`not all was found of the user: ${forgotten}`);
  await untilErased();
  await kill('SIGTERM');

  const sinks = collectSinks();
  console.log(
    `Searched ${sinks.length} sinks, ${sinks.reduce((sum, sink) => sum + sink.bytes.length, 0)} bytes: ${sinks.map((sink) => sink.name).join(', ')}`,
  );
  const controlFound = control.map((text) => sinks.filter((sink) => isIn(sink.bytes, text)).map((sink) => sink.name));
  console.log(
    `Control, a stored answer and a stored stream: found in ${controlFound.map((names) => names.join(', ') || 'NOTHING').join('; ')}`,
  );
  let leaks = 0;
  for (const { name, found } of findIn(sinks, canaries)) {
    leaks += found.length;
    console.log(found.length === 0 ? `clean  ${name}` : `LEAK   ${name}: ${found.join(', ')}`);
  }
  console.log(`${canaries.length} canaries, ${leaks} leaks`);
  process.exitCode = leaks > 0 || controlFound.some((names) => names.length === 0) ? 1 : 0;
} finally {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
}

async function startGateway(): Promise<string> {
  const port = await freePort();
  const { PENSTOCK_API_KEY: _, ...inherited } = process.env;
  const leak = values['seed-leak'] ? ['--import', new URL('./leaky-gateway.ts', import.meta.url).href] : [];
  const child = spawn(process.execPath, [...leak, new URL('../../functions/gateway/local.ts', import.meta.url).pathname], {
    env: {
      ...inherited,
      PORT: String(port),
      PENSTOCK_DATA: folder,
      AWS_REGION: TEST_REGION,
      AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
      AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: runtime.url,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  for (const stream of [child.stdout, child.stderr]) stream?.setEncoding('utf8').on('data', (text: string) => (terminal += text));
  const url = `http://127.0.0.1:${port}`;
  for (let waited = 0; waited < 300; waited += 1) {
    if (child.exitCode !== null) throw new Error(`the gateway did not start: ${terminal}`);
    const isReady = await fetch(`${url}/readyz`).then(
      (response) => response.ok,
      () => false,
    );
    if (isReady) return url;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the gateway did not get ready');
}

/** The write-ahead log has what was deleted until it is emptied, a moment later. */
async function untilErased(): Promise<void> {
  const file = join(folder, 'penstock.sqlite-wal');
  for (let waited = 0; waited < 100 && statSync(file, { throwIfNoEntry: false })?.size !== 0; waited += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function kill(signal: NodeJS.Signals): Promise<void> {
  const child = children.at(-1);
  if (child === undefined || child.exitCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

/** Everything that the gateway wrote: its files and what it said. */
function collectSinks(): readonly { readonly name: string; readonly bytes: Buffer }[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => statSync(join(folder, name)).isFile());
  return [
    ...files.map((name) => ({ name, bytes: readFileSync(join(folder, name)) })),
    { name: 'rows in their order', bytes: readRows() },
    { name: 'standard output and error', bytes: Buffer.from(terminal) },
  ];
}

/** Where each canary is. */
function findIn(sinks: ReturnType<typeof collectSinks>, planted: typeof canaries): readonly { name: string; found: readonly string[] }[] {
  return planted.map(({ name, text }) => ({
    name,
    found: sinks.filter((sink) => isIn(sink.bytes, text)).map((sink) => sink.name),
  }));
}

/** A page of SQLite's holds its rows in no order: a streamed answer is whole only in theirs. */
function readRows(): Buffer {
  const database = new DatabaseSync(join(folder, 'penstock.sqlite'));
  const rows = database.prepare('SELECT partition, sort, attributes FROM rows ORDER BY partition, sort').all();
  database.close();
  return Buffer.from(rows.map((row) => Object.values(row).join(' ')).join('\n'));
}

/** As it is, encoded as one is wont to, or as the token ids of it. */
function isIn(bytes: Buffer, text: string): boolean {
  const secret = text.slice(text.indexOf('-') + 1);
  const ids = [...tokenizer.encode(secret)];
  const forms = [
    secret,
    Buffer.from(secret).toString('hex'),
    // Inside a longer base64 text it may begin at any of three offsets.
    ...[0, 1, 2].map((offset) =>
      Buffer.from('x'.repeat(offset) + secret)
        .toString('base64')
        .slice(offset === 0 ? 0 : 4, -4),
    ),
    ids.slice(1, -1).join(','),
  ];
  return forms.some((form) => bytes.includes(form)) || streamedTextIn(bytes).includes(secret);
}

/** A streamed answer has a few characters in each event: what all events of a file say, put together. */
function streamedTextIn(bytes: Buffer): string {
  const pieces = bytes.toString('latin1').matchAll(/\\?"(?:content|text|delta)\\?":\\?"((?:[^"\\]|\\[^"])*)\\?"/g);
  return [...pieces].map((piece) => piece[1] ?? '').join('');
}
