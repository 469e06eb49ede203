import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { TEST_KEY } from '../../../support/gateway.ts';
import { createGenerationGateway, MODEL, PROMPT, readStream, textOf } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const STREAMS = 20;
let folder: string;
const children: ChildProcess[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-crash-'));
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(folder, { recursive: true, force: true });
});

/** A real process over the SQLite file: its address. */
async function startGateway(pauseMs: number): Promise<{ child: ChildProcess; url: string }> {
  const file = new URL('../../../support/toy-gateway.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [file, join(folder, 'penstock.sqlite'), String(pauseMs)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  if (child.stdout === null) throw new Error('the child has a pipe');
  const [line] = await once(child.stdout, 'data');
  return { child, url: `http://127.0.0.1:${String(line).trim()}` };
}

it('loses and double-charges no generation when the gateway is killed with streams open', { timeout: 60_000 }, async () => {
  const headers = { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' };
  const first = await startGateway(20);
  const created = await fetch(`${first.url}/v1/admin/api_keys`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ name: 'crash', scopes: ['generate', 'usage'], limits: { tokens_total: 100_000, concurrent_requests: STREAMS } }),
  });
  const { key } = (await created.json()) as { key: string };
  const mine = { ...headers, authorization: `Bearer ${key}` };
  const body = JSON.stringify({ model: MODEL, prompt: PROMPT, max_tokens: 4_000, stream: true });
  const start = async () => {
    const response = await fetch(`${first.url}/v1/completions`, { method: 'POST', headers: mine, body });
    return { id: response.headers.get('x-penstock-generation') ?? '', response };
  };
  const streams = await Promise.all(Array.from({ length: STREAMS }, start));
  const seen = streams.map(async ({ response }) => {
    let text = '';
    try {
      for await (const chunk of response.body ?? []) {
        text += Buffer.from(chunk).toString();
        if (text.split('\n\n').length > 10) first.child.kill('SIGKILL');
      }
    } catch {
      // the connection is gone with the process
    }
    return text;
  });
  const texts = await Promise.all(seen);

  const second = await startGateway(20);
  const usage = async () => {
    const response = await fetch(`${second.url}/v1/usage`, { headers: mine });
    return (
      (await response.json()) as { data: { generation_id: string; status: string; prompt_tokens: number; completion_tokens: number }[] }
    ).data;
  };
  await expect.poll(async () => (await usage()).length, { timeout: 20_000, interval: 200 }).toBe(STREAMS);
  const lines = await usage();
  expect(new Set(lines.map((line) => line.generation_id))).toEqual(new Set(streams.map((stream) => stream.id)));
  expect(lines.every((line) => line.status === 'failed' && line.prompt_tokens === 3)).toBe(true);

  for (const [index, { id }] of streams.entries()) {
    const resumed = await (await fetch(`${second.url}/v1/generations/${id}/events`, { headers: mine })).text();
    const lastId = Number([...(texts[index] ?? '').matchAll(/^id: (\d+)\n.*\n\n/gm)].at(-1)?.[1] ?? 0);
    const logged = [...resumed.matchAll(/^id: (\d+)$/gm)].length - 1; // the last one says that it was lost
    // What is logged is what was sent, up to the last batch; what is charged is what is logged.
    expect(resumed).toContain('generation_lost');
    const kept = resumed.slice(0, resumed.lastIndexOf('id: '));
    expect((texts[index] ?? '').startsWith(kept) || kept.startsWith((texts[index] ?? '').slice(0, kept.length))).toBe(true);
    expect(lastId - logged).toBeLessThanOrEqual(3);
    expect(lines.find((line) => line.generation_id === id)?.completion_tokens).toBeGreaterThanOrEqual(logged - 1);
  }
  // Everything that was held and not used is free again: all places, all tokens.
  const again = await Promise.all(
    Array.from({ length: STREAMS }, () =>
      fetch(`${second.url}/v1/completions`, {
        method: 'POST',
        headers: mine,
        body: JSON.stringify({ model: MODEL, prompt: PROMPT, max_tokens: 4 }),
      }),
    ),
  );
  expect(again.map((response) => response.status)).toEqual(again.map(() => 200));
  await Promise.all(again.map((response) => response.text()));
  expect(await usage()).toHaveLength(2 * STREAMS);
});

it('goes on with the answers of clients that have a lease, to the same bytes', { timeout: 60_000 }, async () => {
  const length = 60;
  const headers = { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' };
  const first = await startGateway(15);
  const clients = await Promise.all(
    Array.from({ length: 8 }, async (_, client) => {
      const prompt = [...PROMPT, 1_000 + client];
      const response = await fetch(`${first.url}/v1/completions`, {
        method: 'POST',
        headers: { ...headers, 'x-penstock-lease': '120' },
        body: JSON.stringify({ model: MODEL, prompt, max_tokens: length, temperature: 0.8, stream: true }),
      });
      return { prompt, response };
    }),
  );
  const seen = await Promise.all(
    clients.map(async ({ response }) => {
      let text = '';
      try {
        for await (const chunk of response.body ?? []) {
          text += Buffer.from(chunk).toString();
          if (text.split('\n\n').length > 12) first.child.kill('SIGKILL');
        }
      } catch {
        // the connection is gone with the process
      }
      return text.slice(0, text.lastIndexOf('\n\n') + 2);
    }),
  );
  const second = await startGateway(1);
  const uninterrupted = await createGenerationGateway(new ToyEndpoint());
  for (const [index, { prompt, response }] of clients.entries()) {
    const before = seen[index] ?? '';
    const last = [...before.matchAll(/^id: (\d+)$/gm)].at(-1)?.[1] ?? '0';
    const events = `${second.url}/v1/generations/${response.headers.get('x-penstock-generation')}/events`;
    const rest = await (await fetch(events, { headers: { ...headers, 'last-event-id': last } })).text();
    const bytes = before + rest.replaceAll(/^: keep-alive\n\n/gm, '');
    expect(bytes).toBe(await (await fetch(events, { headers })).text());
    const expected = await textOf(await uninterrupted.complete({ prompt, max_tokens: length }));
    expect(await readStream(new Response(bytes))).toMatchObject({ text: expected, finishReason: 'length', error: undefined });
  }
  const usage = await (await fetch(`${second.url}/v1/usage`, { headers })).json();
  const { data } = usage as { data: { status: string; completion_tokens: number }[] };
  expect(data).toHaveLength(clients.length);
  for (const line of data) expect(line).toMatchObject({ status: 'completed', completion_tokens: length });
});

it('makes room for others from the holds of a process that died', async () => {
  const clock = { at: Date.now(), now: () => clock.at };
  const table = createMemoryTable(clock);
  const dying = await createGenerationGateway(new ToyEndpoint(), { table, clock });
  const { key } = await dying.createKey({ tokens_total: 100 });
  const response = await dying.complete({ max_tokens: 97, stream: true }, { key }); // never read: as if its process stood still
  const other = await createGenerationGateway(new ToyEndpoint(), { table, clock });
  expect((await other.complete({}, { key })).status).toBe(429);
  // Its renewals stopped a minute ago.
  clock.at += 60_000;
  const { finishReason } = await readStream(await other.complete({ max_tokens: 50, stream: true }, { key }));
  expect(finishReason).toBe('length');
  await response.body?.cancel();
  expect((await other.usage()).map((line) => line.status).sort()).toEqual(['completed', 'failed']);
});
