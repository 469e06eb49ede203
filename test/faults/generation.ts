/**
 * `npm run faults:generation [-- --quick]`: the figures of the generation, each printed beside its goal. The gateway is the real app over a
 * SQLite file, in front of a toy model that is exact to the token; killed gateways are processes of their own. Exits 1 when a goal is missed.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createSqliteTable } from '../../functions/drivers/sqlite-table.ts';
import { EndpointUnavailableError } from '../../functions/gateway/errors.ts';
import { TEST_KEY } from '../support/gateway.ts';
import { createGenerationGateway, MODEL, PROMPT, readStream, type TestGateway } from '../support/generation-gateway.ts';
import { ToyEndpoint } from '../support/toy-endpoint.ts';

const { values } = parseArgs({ options: { quick: { type: 'boolean', default: false } } });
const folder = mkdtempSync(join(tmpdir(), 'penstock-faults-'));
const clock = { now: Date.now };
let files = 0;
let missed = 0;

function openTable(name?: string) {
  files += 1;
  return createSqliteTable(join(folder, name ?? `${files}.sqlite`), clock);
}

const broken = () => new EndpointUnavailableError('broken', 'penstock-gpt');

function report(what: string, figure: string, isMet: boolean): void {
  if (!isMet) missed += 1;
  console.log(`${isMet ? 'met   ' : 'MISSED'}  ${what.padEnd(96)} ${figure}`);
}

try {
  await overrun(values.quick ? 10 : 100);
  await ledgerAgainstEngine(values.quick ? 500 : 10_000);
  await tokensAfterDeath(values.quick ? 20 : 100);
  await resumeEverywhere(values.quick ? 100 : 1_000);
  await failoverEverywhere(values.quick ? 32 : 256);
  await duplicates();
  await zeroToWarm(values.quick ? 3 : 60);
  await killedGateway(values.quick ? 20 : 100);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = missed > 0 ? 1 : 0;

/** 200 concurrent streams on a 1,000-token limit. */
async function overrun(runs: number): Promise<void> {
  let worst = Number.NEGATIVE_INFINITY;
  let least = Number.POSITIVE_INFINITY;
  for (let run = 0; run < runs; run += 1) {
    const gateway = await createGenerationGateway(new ToyEndpoint(), { table: openTable() });
    const { key } = await gateway.createKey({ tokens_total: 1_000 });
    const answers = await Promise.all(Array.from({ length: 200 }, () => gateway.complete({ max_tokens: 40, stream: true }, { key })));
    await Promise.all(answers.map((answer) => answer.text()));
    const used = (await gateway.usage()).reduce((sum, line) => sum + line.prompt_tokens + line.completion_tokens, 0);
    worst = Math.max(worst, used - 1_000);
    least = Math.min(least, used);
    gateway.table.close();
  }
  report(
    `200 streams at once on a 1,000-token limit, ${runs} runs: most tokens over the limit`,
    `${Math.max(0, worst)} (least used: ${least})`,
    worst <= 0,
  );
}

/** Random lengths, clients that leave, calls that break, at every point. */
async function ledgerAgainstEngine(generations: number): Promise<void> {
  const endpoint = new ToyEndpoint(() => (Math.random() < 0.3 ? { after: Math.floor(Math.random() * 30), error: broken() } : undefined));
  const gateway = await createGenerationGateway(endpoint, {
    table: openTable(),
    config: { tokenLog: { keep: 'asked', batchMs: 50, retentionSeconds: 3_600 } },
  });
  let left = generations;
  const client = async () => {
    while (left > 0) {
      left -= 1;
      const response = await gateway.complete({ max_tokens: 1 + Math.floor(Math.random() * 30), stream: true });
      const reader = response.body?.getReader();
      const patience = Math.random() < 0.4 ? Math.floor(Math.random() * 20) : Number.POSITIVE_INFINITY;
      for (let read = 0; read < patience; read += 1) if ((await reader?.read())?.done !== false) break;
      await reader?.cancel();
    }
  };
  await Promise.all(Array.from({ length: 32 }, client));
  const usage = await gateway.usage();
  const ledger = usage.reduce((sum, line) => sum + line.completion_tokens, 0);
  const phases = new Map<string, number>();
  for (const line of usage) phases.set(line.status, (phases.get(line.status) ?? 0) + 1);
  const mix = [...phases].map(([phase, count]) => `${count} ${phase}`).join(', ');
  report(
    `ledger against the engine's counter after ${generations} generations (${mix})`,
    `${ledger} = ${endpoint.generatedTokens}, ${usage.length} lines`,
    ledger === endpoint.generatedTokens && usage.length === generations,
  );
}

/** Tokens that are generated after the client is gone, whose socket is seen. */
async function tokensAfterDeath(clients: number): Promise<void> {
  const endpoint = new ToyEndpoint(undefined, () => sleep(2));
  const gateway = await createGenerationGateway(endpoint, { table: openTable() });
  const wasted: number[] = [];
  for (let n = 0; n < clients; n += 1) {
    const response = await gateway.complete({ max_tokens: 500, stream: true });
    const reader = response.body?.getReader();
    for (let read = 0; read < Math.floor(Math.random() * 20); read += 1) await reader?.read();
    const before = endpoint.generatedTokens;
    await reader?.cancel();
    await sleep(20);
    wasted.push(endpoint.generatedTokens - before);
  }
  const p95 = wasted.sort((one, other) => one - other)[Math.floor(wasted.length * 0.95)] ?? 0;
  report(`${clients} clients killed at a random token: tokens generated afterwards, p95`, String(p95), p95 <= 1);
}

/** A stream cut at random bytes, also inside events, taken up by another gateway over another connection to the file. */
async function resumeEverywhere(cuts: number): Promise<void> {
  const name = 'resume.sqlite';
  const one = await createGenerationGateway(new ToyEndpoint(), { table: openTable(name) });
  const unused = new ToyEndpoint();
  const other = await createGenerationGateway(unused, { table: openTable(name) });
  const response = await one.complete({ max_tokens: 60, stream: true, stream_options: { include_usage: true } });
  const whole = await response.text();
  let same = 0;
  for (let n = 0; n < cuts; n += 1) {
    const seen = whole.slice(0, Math.floor((n / cuts) * whole.length));
    const end = seen.lastIndexOf('\n\n') + 2;
    const id = [...seen.slice(0, Math.max(0, end)).matchAll(/^id: (\d+)$/gm)].at(-1)?.[1] ?? '0';
    const rest = await other.call('GET', `/v1/generations/${response.headers.get('x-penstock-generation')}/events`, {
      headers: { 'last-event-id': id },
    });
    if (seen.slice(0, id === '0' ? 0 : end) + (await rest.text()) === whole) same += 1;
  }
  report(
    `stream cut at ${cuts} places, resumed by another gateway: identical bytes`,
    `${same} of ${cuts}, ${unused.requests.length} endpoint calls`,
    same === cuts && unused.requests.length === 0,
  );
}

/** The endpoint breaks at every token position. */
async function failoverEverywhere(length: number): Promise<void> {
  const expected = (
    await readStream(await (await createGenerationGateway(new ToyEndpoint())).complete({ max_tokens: length, stream: true }))
  ).text;
  let same = 0;
  for (let after = 0; after < length; after += 1) {
    const endpoint = new ToyEndpoint((_, call) => (call === 0 ? { after, error: broken() } : undefined));
    const gateway = await createGenerationGateway(endpoint, { alternatives: [{ name: 'penstock-other' }] });
    const { text } = await readStream(await gateway.complete({ max_tokens: length, stream: true }));
    if (text === expected) same += 1;
  }
  report(
    `endpoint broken at each of ${length} token positions: text equal to the uninterrupted run (toy model)`,
    `${same} of ${length}`,
    same === length,
  );
}

async function duplicates(): Promise<void> {
  const endpoint = new ToyEndpoint();
  const gateway = await createGenerationGateway(endpoint, { table: openTable() });
  const answers = await Promise.all(
    Array.from({ length: 50 }, () => gateway.complete({ stream: true }, { headers: { 'idempotency-key': 'once' } })),
  );
  const bodies = new Set(await Promise.all(answers.map((answer) => answer.text())));
  const lines = (await gateway.usage()).length;
  report(
    '50 duplicates at once with one Idempotency-Key: endpoint calls, ledger lines, different bodies',
    `${endpoint.requests.length}, ${lines}, ${bodies.size}`,
    endpoint.requests.length === 1 && lines === 1 && bodies.size === 1,
  );
}

/** No copy for so many seconds, then one that takes 8 requests at once. */
async function zeroToWarm(loadSeconds: number): Promise<void> {
  const startedAt = Date.now();
  const served: number[] = [];
  const endpoint: ToyEndpoint = new ToyEndpoint(
    (request) => {
      if (Date.now() - startedAt < loadSeconds * 1_000 || endpoint.open >= 8)
        return { after: 0, error: new EndpointUnavailableError('no-capacity', 'penstock-gpt') };
      served.push(request.promptTokenIds.at(-1) ?? 0);
      return undefined;
    },
    () => sleep(2),
  );
  const gateway = await createGenerationGateway(endpoint, {
    table: openTable(),
    config: { queue: { maxWaiting: 100, maxWaitMs: 300_000, probeMs: 1_000 } },
  });
  const clients = Array.from({ length: 50 }, (_, client) => 1_000 + client);
  const answers = await Promise.all(clients.map((client) => gateway.complete({ prompt: [504, client], max_tokens: 8, stream: true })));
  const streams = await Promise.all(answers.map(readStream));
  const errors = answers.filter((answer) => answer.status !== 200).length + streams.filter((stream) => stream.error !== undefined).length;
  const isOrdered = served.join() === clients.join();
  report(
    `50 clients while the endpoint goes from 0 copies to 1 (load ${loadSeconds} s): errors, order kept`,
    `${errors}, ${isOrdered ? 'yes' : 'no'}`,
    errors === 0 && isOrdered,
  );
}

/** Half of the clients have a lease and come back with the number of their last event; the others are plain ones. */
async function killedGateway(streams: number): Promise<void> {
  const length = 150;
  const file = 'killed.sqlite';
  const start = async () => {
    const child = spawn(process.execPath, [new URL('../support/toy-gateway.ts', import.meta.url).pathname, join(folder, file), '20'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = await once(child.stdout, 'data');
    return { child, url: `http://127.0.0.1:${String(line).trim()}/v1` };
  };
  const headers = { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' };
  const first = await start();
  const clients = await Promise.all(
    Array.from({ length: streams }, async (_, client) => {
      const hasLease = client % 2 === 0;
      const body = { model: MODEL, prompt: [...PROMPT, 1_000 + client], max_tokens: length, stream: true, temperature: hasLease ? 0.8 : 0 };
      const response = await fetch(`${first.url}/completions`, {
        method: 'POST',
        headers: { ...headers, ...(hasLease ? { 'x-penstock-lease': '120' } : {}) },
        body: JSON.stringify(body),
      });
      return { hasLease, response, prompt: body.prompt, seen: readUntilBroken(response) };
    }),
  );
  await sleep(500);
  first.child.kill('SIGKILL');
  const seen = await Promise.all(clients.map((client) => client.seen));
  const second = await start();
  let same = 0;
  for (const [client, { hasLease, response, prompt }] of clients.entries()) {
    if (!hasLease) continue;
    const whole = (seen[client] ?? '').slice(0, (seen[client] ?? '').lastIndexOf('\n\n') + 2);
    const last = [...whole.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1] ?? '0';
    const events = `${second.url}/generations/${response.headers.get('x-penstock-generation')}/events`;
    const rest = await (await fetch(events, { headers: { ...headers, 'last-event-id': last } })).text();
    const again = await (await fetch(events, { headers })).text();
    const bytes = whole + rest.replaceAll(/^: keep-alive\n\n/gm, '');
    const { text, error } = await readStream(new Response(bytes));
    const expected = await readStream(
      await (await createGenerationGateway(new ToyEndpoint())).complete({ prompt, max_tokens: length, stream: true }),
    );
    if (bytes === again && text === expected.text && error === undefined) same += 1;
  }
  const lines = async () =>
    ((await (await fetch(`${second.url}/usage`, { headers })).json()) as { data: Awaited<ReturnType<TestGateway['usage']>> }).data;
  for (let waited = 0; waited < 100 && (await lines()).length < streams; waited += 1) await sleep(200);
  const all = await lines();
  const ids = all.map((line) => line.generation_id);
  const lost = clients.filter(({ response }) => !ids.includes(response.headers.get('x-penstock-generation') ?? '')).length;
  const double = ids.length - new Set(ids).size;
  const finished = all.filter((line) => line.status === 'completed' && line.completion_tokens === length).length;
  second.child.kill('SIGKILL');
  const kept = clients.filter((client) => client.hasLease).length;
  report(
    `gateway killed with ${streams} streams open, restarted: generations without a ledger line, with two`,
    `${lost}, ${double}`,
    lost === 0 && double === 0,
  );
  report(
    `of these, the ${kept} with a lease: gone on with by another process to the same bytes and the whole length`,
    `${same}, ${finished} charged in full`,
    same === kept && finished === kept,
  );
}

async function readUntilBroken(response: Response): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString();
  } catch {
    // the connection is gone with the process
  }
  return text;
}
