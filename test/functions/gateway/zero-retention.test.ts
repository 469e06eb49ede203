import { mkdtempDisposable, readdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createSqliteTable } from '../../../functions/drivers/sqlite-table.ts';
import { createGenerationGateway, MODEL } from '../../support/generation-gateway.ts';
import { ScriptedEndpoint } from '../../support/scripted-endpoint.ts';
import { loadModelTokenizer, says } from '../../support/scripted-model.ts';

const ASKED = 'heronasked';
const ANSWERED = 'heronanswered';
const tokenizer = await loadModelTokenizer();
const messages = [{ role: 'user', content: ASKED }];

it('leaves no text anywhere where no answers are kept, whatever callers ask for', async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), 'zero-retention-'));
  const table = createSqliteTable(join(folder.path, 'penstock.sqlite'), { now: Date.now });
  const endpoint = new ScriptedEndpoint(() => says(tokenizer, `It is ${ANSWERED}.`));
  const gateway = await createGenerationGateway(endpoint, {
    table,
    config: { tokenLog: { keep: 'never', batchMs: 1, retentionSeconds: 3_600 } },
  });
  const post = async (path: string, body: object, headers: Record<string, string> = {}) => {
    const response = await gateway.call('POST', path, { body, headers });
    return { status: response.status, text: await response.text() };
  };

  for (const stream of [true, false]) {
    const chat = await post('/v1/chat/completions', { model: MODEL, messages, stream, store: true }, { 'idempotency-key': `k-${stream}` });
    const response = await post(
      '/v1/responses',
      { model: MODEL, input: ASKED, stream, store: true, user: 'u1' },
      { 'x-penstock-lease': '5' },
    );
    for (const { status, text } of [chat, response]) {
      expect(status).toBe(200);
      expect(text).toContain(stream ? 'data:' : ANSWERED);
    }
    expect(response.text).toContain('"store":false');
    const id = /"id":"(resp_[^"]+)"/.exec(response.text)?.[1];
    expect((await gateway.call('GET', `/v1/responses/${id}`)).status).toBe(404);
  }
  for (const [path, body, param] of [
    ['/v1/responses', { model: MODEL, input: ASKED, background: true }, 'background'],
    ['/v1/responses', { model: MODEL, input: ASKED, conversation: 'conv_1' }, 'conversation'],
    ['/v1/conversations', { items: messages }, null],
    ['/v1/conversations/conv_1', { metadata: { topic: ASKED } }, null],
    ['/v1/conversations/conv_1/items', { items: messages }, null],
  ] as const) {
    const { status, text } = await post(path, body);
    expect(status).toBe(400);
    expect(JSON.parse(text)).toMatchObject({ error: { type: 'invalid_request_error', param, message: /zero retention/ } });
  }

  table.close();
  const files = await readdir(folder.path);
  expect(files).toContain('penstock.sqlite');
  for (const file of files) {
    const kept = await readFile(join(folder.path, file), 'latin1');
    expect(kept).not.toContain(ASKED);
    expect(kept).not.toContain(ANSWERED);
  }
  expect(JSON.stringify(gateway.logged)).not.toMatch(/heron/);
});
