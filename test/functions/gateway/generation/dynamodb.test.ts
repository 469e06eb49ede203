import { afterAll, beforeAll, expect, it } from 'vitest';
import { createDynamoDbTable } from '../../../../functions/drivers/dynamodb-table.ts';
import { createGenerationGateway, readStream } from '../../../support/generation-gateway.ts';
import { type Moto, startMoto } from '../../../support/moto.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const clock = { now: Date.now };
let moto: Moto;
beforeAll(async () => {
  moto = await startMoto();
  await moto.createTable('penstock');
}, 300_000);
afterAll(() => moto.stop());

it('keeps to limits, resumes in another process and joins duplicates over DynamoDB too', { timeout: 60_000 }, async () => {
  const endpoint = new ToyEndpoint();
  const one = await createGenerationGateway(endpoint, { table: createDynamoDbTable('penstock', clock, moto.client) });
  const other = await createGenerationGateway(new ToyEndpoint(), { table: createDynamoDbTable('penstock', clock, moto.client) });
  await one.call('PUT', '/v1/admin/organizations/acme/limits', { body: { tokens_total: 200 } });
  const { key } = await one.createKey({ tokens_total: 1_000 }, { organization_id: 'acme', scopes: ['generate', 'usage'] });
  const answers = await Promise.all(Array.from({ length: 30 }, () => one.complete({ max_tokens: 20, stream: true }, { key })));
  await Promise.all(answers.map(readStream));
  const usage = (await (await one.call('GET', '/v1/usage', { key })).json()) as {
    data: { prompt_tokens: number; completion_tokens: number }[];
  };
  const used = usage.data.reduce((sum, line) => sum + line.prompt_tokens + line.completion_tokens, 0);
  expect(used).toBeLessThanOrEqual(200);
  expect(used).toBeGreaterThan(190);
  expect(usage.data.reduce((sum, line) => sum + line.completion_tokens, 0)).toBe(endpoint.generatedTokens);

  const response = await one.complete({ stream: true, max_tokens: 30 });
  const whole = await response.text();
  const path = `/v1/generations/${response.headers.get('x-penstock-generation')}/events`;
  const rest = await (await other.call('GET', path, { headers: { 'last-event-id': '7' } })).text();
  expect(whole.endsWith(rest)).toBe(true);
  expect(rest.startsWith('id: 8\n')).toBe(true);

  const before = endpoint.requests.length;
  const headers = { 'idempotency-key': 'once' };
  const twins = await Promise.all([one, one, one].map((gateway) => gateway.complete({ stream: true }, { headers })));
  expect(new Set(await Promise.all(twins.map((twin) => twin.text()))).size).toBe(1);
  expect(endpoint.requests.length).toBe(before + 1);
});
