import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDynamoDbTable } from '../../../functions/drivers/dynamodb-table.ts';
import { StoreUnavailableError } from '../../../functions/gateway/errors.ts';
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
