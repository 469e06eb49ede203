import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createSqliteTable } from '../../../../functions/drivers/sqlite-table.ts';
import { createGenerationGateway, type TestGateway } from '../../../support/generation-gateway.ts';
import { ScriptedEndpoint } from '../../../support/scripted-endpoint.ts';
import { loadModelTokenizer, MODEL, says } from '../../../support/scripted-model.ts';

const EMAIL = 'anna.smith@example.com';
let folder: string;
let gateway: TestGateway;
let table: ReturnType<typeof createSqliteTable>;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-private-'));
  table = createSqliteTable(join(folder, 'rows.sqlite'), { now: Date.now });
  const tokenizer = await loadModelTokenizer();
  gateway = await createGenerationGateway(new ScriptedEndpoint(() => says(tokenizer, 'I write to ⟦EMAIL_1⟧ now.')), { table });
});
afterEach(async () => {
  table.close();
  await rm(folder, { recursive: true, force: true });
});

const mask = () => gateway.call('PUT', '/v1/admin/safety_policy', { body: { pii: { input: 'mask', output: 'flag' } } });
async function ask(body: object, headers: Record<string, string> = {}): Promise<string> {
  const message = { model: MODEL, messages: [{ role: 'user', content: `I am ${EMAIL}` }], temperature: 0 };
  return (await gateway.call('POST', '/v1/chat/completions', { body: { ...message, ...body }, headers })).text();
}
/** Everything that the gateway wrote: the file, the log of its changes, and log lines. */
async function written(): Promise<string> {
  const files = await Promise.all((await readdir(folder)).map((name) => readFile(join(folder, name), 'latin1')));
  return files.join('') + JSON.stringify(gateway.logged);
}

describe('a masked value', () => {
  it('is nowhere but in the answer when nothing is to be stored', async () => {
    await mask();
    for (const stream of [false, true]) expect(await ask({ store: false, stream })).toContain(stream ? '[DONE]' : EMAIL);
    expect(await written()).not.toContain('anna.smith');
  });

  it('is in the stored answer of the caller, who gets it again, and in nothing else', async () => {
    await mask();
    const headers = { 'idempotency-key': 'once' };
    const first = await ask({}, headers);
    expect(first).toContain(EMAIL);
    expect(await ask({}, headers)).toBe(first);
    const database = new DatabaseSync(join(folder, 'rows.sqlite'), { readOnly: true });
    const rows = database.prepare("SELECT sort, attributes FROM rows WHERE attributes LIKE '%anna.smith%'").all();
    database.close();
    expect(rows).toHaveLength(1);
    expect(JSON.stringify(gateway.logged)).not.toContain('anna.smith');
  });
});

describe('a plan for another process', () => {
  const lease = { 'x-penstock-lease': '30' };
  /** Prompts are kept for it, as token ids. */
  const isKept = async () => (await written()).includes('promptTokenIds');

  it('is kept of an answer that another process can screen', async () => {
    await gateway.call('PUT', '/v1/admin/safety_policy', { body: { pii: { input: 'redact', output: 'redact' } } });
    await ask({ stream: true }, lease);
    expect(await isKept()).toBe(true);
  });

  it('is not kept where only this process knows what was hidden', async () => {
    await mask();
    await ask({ stream: true }, lease);
    expect(await isKept()).toBe(false);
  });
});
