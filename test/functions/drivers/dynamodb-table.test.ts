import { once } from 'node:events';
import { createServer } from 'node:http';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDynamoDbTable } from '../../../functions/drivers/dynamodb-table.ts';
import { StoreUnavailableError } from '../../../functions/gateway/errors.ts';
import { createMeters } from '../../../functions/gateway/keys/meters.ts';
import { freePort } from '../../../models/local/free-port.ts';
import { testTable } from '../../contracts/table.ts';
import { type Moto, startMoto } from '../../support/moto.ts';

const clock = { now: Date.now };

describe('DynamoDB table', () => {
  let moto: Moto;
  beforeAll(async () => {
    moto = await startMoto();
    await moto.createTable('penstock');
  }, 300_000);
  afterAll(() => moto.stop());

  testTable((contractClock) => createDynamoDbTable('penstock', contractClock, moto.client), 15);

  it('says that the store is not available when the table does not exist', async () => {
    const table = createDynamoDbTable('missing', clock, moto.client);
    await expect(table.read({ partition: 'p', sort: 's' })).rejects.toThrow(StoreUnavailableError);
    await expect(table.writeAll([{ type: 'delete', key: { partition: 'p', sort: 's' } }])).rejects.toThrow(StoreUnavailableError);
  });

  it('says so when nobody answers', async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    const table = createDynamoDbTable('penstock', clock, { ...moto.client, endpoint, maxAttempts: 1 });
    await expect(table.write({ type: 'delete', key: { partition: 'p', sort: 's' } })).rejects.toThrow(StoreUnavailableError);
  });
});

/** Stands between the driver and DynamoDB, and may answer for it. */
async function startProxy(target: string, onCall: (operation: string, forward: () => Promise<Response>) => Promise<Response>) {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer); // a request without an encoding gives buffers
    const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => !['host', 'connection'].includes(name)));
    const forward = () => fetch(target, { method: 'POST', headers: headers as Record<string, string>, body: Buffer.concat(chunks) }); // no header of these comes twice
    const answer = await onCall(String(request.headers['x-amz-target']).split('.')[1] ?? '', forward);
    response.writeHead(answer.status, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(Buffer.from(await answer.arrayBuffer()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a TCP server has a port');
  return { url: `http://127.0.0.1:${address.port}`, close: () => server.close() };
}

describe('DynamoDB table on a bad day', () => {
  const key = { partition: 'meter/key/bad-day', sort: 'meter' };
  let moto: Moto;
  beforeAll(async () => {
    moto = await startMoto();
    await moto.createTable('penstock');
  }, 300_000);
  afterAll(() => moto.stop());

  it('waits for another’s transaction to let go of a row', async () => {
    let conflicts = 3;
    const proxy = await startProxy(moto.client.endpoint, async (operation, forward) => {
      conflicts -= 1;
      if (operation !== 'UpdateItem' || conflicts < 0) return forward();
      return Response.json({ __type: 'com.amazonaws.dynamodb.v20120810#TransactionConflictException', message: 'busy' }, { status: 400 });
    });
    const table = createDynamoDbTable('penstock', clock, { ...moto.client, endpoint: proxy.url });
    const { written } = await table.write({ type: 'update', key: { ...key, sort: 'conflict' }, add: { count: 1 } });
    expect(written).toBe(true);
    expect((await table.read({ ...key, sort: 'conflict' }))?.attributes).toEqual({ count: 1 });
    proxy.close();
  });

  it.each([1, 3])('counts a hold once whose answer was lost and which is sent again, with %i limits', async (levels) => {
    let lost = 0;
    const proxy = await startProxy(moto.client.endpoint, async (operation, forward) => {
      const answer = await forward();
      if (!['UpdateItem', 'TransactWriteItems'].includes(operation) || lost % 2 === 1) {
        lost += 1;
        return answer;
      }
      lost += 1;
      return Response.json({ __type: 'InternalServerError', message: 'the answer was lost' }, { status: 500 });
    });
    const table = createDynamoDbTable('penstock', clock, { ...moto.client, endpoint: proxy.url });
    const meters = createMeters(table, clock);
    const scopes = ['key', 'project', 'organization'].slice(0, levels);
    const hold = await meters.hold({
      generationId: `gen_${levels}`,
      meters: scopes.map((scope) => ({ name: `${scope}/lost-${levels}`, limits: { tokens_total: 100, concurrent_requests: 5 } })),
      owner: { runnerId: 'r', modelId: 'm', keyId: 'k', projectId: 'p', organizationId: 'o', requestId: 'q' },
      promptTokens: 10,
      completionTokens: 20,
      price: { promptToken: 0, completionToken: 0 },
    });
    const longer = await meters.extend(hold, 15);
    expect(longer?.completionTokens).toBe(35);
    for (const scope of scopes) {
      const row = await table.read({ partition: `meter/${scope}/lost-${levels}`, sort: 'meter' });
      expect(row?.attributes).toMatchObject({ 'tokens/total': 45, open: 1 });
    }
    await meters.settle(longer ?? hold, { promptTokens: 10, completionTokens: 7 });
    for (const scope of scopes) {
      const row = await table.read({ partition: `meter/${scope}/lost-${levels}`, sort: 'meter' });
      expect(row?.attributes).toMatchObject({ 'tokens/total': 17, open: 0 });
    }
    expect(lost).toBeGreaterThan(3);
    proxy.close();
  });
});
