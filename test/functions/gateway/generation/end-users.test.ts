import { describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import type { Key, Row, Table } from '../../../../functions/gateway/services/table.ts';
import { createGenerationGateway, MODEL, type TestGateway } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const SECRET = 'the tide tables of Saint-Malo';

/** A table that knows all of its rows. */
function createOpenTable(): { table: Table; rows: () => Promise<readonly Row[]> } {
  const table = createMemoryTable({ now: Date.now });
  const keys = new Map<string, Key>();
  const see = (key: Key) => keys.set(`${key.partition} ${key.sort}`, key);
  return {
    table: {
      ...table,
      write(change) {
        see(change.key);
        return table.write(change);
      },
      writeAll(changes) {
        for (const { key } of changes) see(key);
        return table.writeAll(changes);
      },
    },
    async rows() {
      const found = await Promise.all([...keys.values()].map((key) => table.read(key)));
      return found.filter((row) => row !== undefined);
    },
  };
}

const forget = async (gateway: TestGateway, body: object) => {
  const response = await gateway.call('POST', '/v1/admin/users/forget', { body });
  return { status: response.status, body: await response.json() };
};
const readToEnd = async (reader: ReadableStreamDefaultReader<Uint8Array> | undefined) => {
  while ((await reader?.read())?.done === false);
};
const post = async (gateway: TestGateway, path: string, body: object, key?: string) => {
  const response = await gateway.call('POST', `/v1/${path}`, { body, ...(key === undefined ? {} : { key }) });
  expect(response.status).toBe(200);
  return (await response.json()) as { id: string };
};
const chat = (user: object) => ({ model: MODEL, messages: [{ role: 'user', content: SECRET }], max_tokens: 4, ...user });

describe('POST /v1/admin/users/forget', () => {
  it('leaves no row with anything of the user: generations, responses and conversations', async () => {
    const { table, rows } = createOpenTable();
    const gateway = await createGenerationGateway(new ToyEndpoint(), { table });
    const conversation = await post(gateway, 'conversations', {});
    await post(gateway, 'chat/completions', chat({ user: 'ada' }));
    await post(gateway, 'chat/completions', chat({ safety_identifier: 'ada' }));
    await post(gateway, 'responses', { model: MODEL, input: SECRET, max_output_tokens: 16, user: 'ada' });
    await post(gateway, 'responses', {
      model: MODEL,
      input: SECRET,
      max_output_tokens: 16,
      safety_identifier: 'ada',
      conversation: conversation.id,
    });
    const textOf = async () => JSON.stringify(await rows());
    expect(await textOf()).toContain(SECRET);
    expect(await forget(gateway, { user: 'ada' })).toEqual({
      status: 200,
      body: { object: 'user.forgotten', organization_id: 'default', generations: 4, responses: 2, conversations: 1 },
    });
    expect(await textOf()).not.toContain(SECRET);
    expect((await rows()).filter(({ key }) => /^(generation|response|conversation|user)\//.test(key.partition))).toEqual([]);
    expect((await gateway.usage()).length).toBe(4); // without text: they stay
    expect(await forget(gateway, { user: 'ada' })).toMatchObject({ body: { generations: 0, responses: 0, conversations: 0 } });
  });

  it('forgets one user of one organisation only', async () => {
    const gateway = await createGenerationGateway(new ToyEndpoint());
    const { key } = await gateway.createKey({}, { organization_id: 'other' });
    const other = await post(gateway, 'responses', { model: MODEL, input: 'x', max_output_tokens: 16, user: 'ada' }, key);
    const bob = await post(gateway, 'responses', { model: MODEL, input: 'x', max_output_tokens: 16, user: 'bob' });
    const ada = await post(gateway, 'responses', { model: MODEL, input: 'x', max_output_tokens: 16, user: 'ada' });
    expect(await forget(gateway, { user: 'ada' })).toMatchObject({ body: { responses: 1 } });
    const statusOf = async (id: string, as?: string) =>
      (await gateway.call('GET', `/v1/responses/${id}`, as === undefined ? {} : { key: as })).status;
    expect([await statusOf(ada.id), await statusOf(bob.id), await statusOf(other.id, key)]).toEqual([404, 200, 200]);
    expect(await forget(gateway, { user: 'ada', organization_id: 'other' })).toMatchObject({ body: { responses: 1 } });
    expect(await statusOf(other.id, key)).toBe(404);
  });

  it('stops an answer that is being made, and writes the name of a user nowhere', async () => {
    const { table, rows } = createOpenTable();
    const endpoint = new ToyEndpoint();
    const gateway = await createGenerationGateway(endpoint, { table });
    const running = await gateway.complete({ max_tokens: 4_000, stream: true, user: 'ada@example.com' });
    const reader = running.body?.getReader();
    await reader?.read();
    expect(JSON.stringify(await rows())).not.toContain('ada@example.com');
    const [forgotten] = await Promise.all([forget(gateway, { user: 'ada@example.com' }), readToEnd(reader)]);
    expect(forgotten.body).toMatchObject({ generations: 1 });
    expect(endpoint.open).toBe(0);
    expect((await rows()).filter(({ key }) => /^(generation|user)\//.test(key.partition))).toEqual([]);
    expect(JSON.stringify(gateway.logged)).not.toContain('ada@example.com');
  });

  it('is for administrators, and needs a user', async () => {
    const gateway = await createGenerationGateway(new ToyEndpoint());
    const { key } = await gateway.createKey();
    expect((await gateway.call('POST', '/v1/admin/users/forget', { body: { user: 'ada' }, key })).status).toBe(403);
    expect(await forget(gateway, { user: '' })).toMatchObject({ status: 400, body: { error: { param: 'user' } } });
    expect(await forget(gateway, { user: 'ada', organization_id: '../x' })).toMatchObject({
      status: 400,
      body: { error: { param: 'organization_id' } },
    });
  });
});
