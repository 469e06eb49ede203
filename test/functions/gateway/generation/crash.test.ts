import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { TEST_KEY } from '../../../support/gateway.ts';
import { createGenerationGateway, MODEL, PROMPT, readStream } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const STREAMS = 20;
const folder = mkdtempSync(join(tmpdir(), 'penstock-crash-'));
const children: ChildProcess[] = [];
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
