import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDynamoDbTable } from '../../../../functions/drivers/dynamodb-table.ts';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { createRoom } from '../../../../functions/gateway/generation/room.ts';
import { deletePieces, joinPieces, writePieces } from '../../../../functions/gateway/services/long-text.ts';
import type { Table } from '../../../../functions/gateway/services/table.ts';
import { createGenerationJob } from '../../../../functions/jobs/run-generation-job.ts';
import { createGenerationGateway, createGenerationServices, MODEL } from '../../../support/generation-gateway.ts';
import { type Moto, startMoto } from '../../../support/moto.ts';
import { ScriptedEndpoint } from '../../../support/scripted-endpoint.ts';
import { loadModelTokenizer, says } from '../../../support/scripted-model.ts';

/** What does not fit into a row of DynamoDB (400 KB) is kept, and read as it was sent. */
const tokenizer = await loadModelTokenizer();
const inLambda = { seesDisconnects: false, tokenLog: { keep: 'asked', batchMs: 1, retentionSeconds: 3_600 } } as const;
const never = new AbortController().signal;

let moto: Moto;
let table: Table;
beforeAll(async () => {
  moto = await startMoto();
  await moto.createTable('penstock');
  table = createDynamoDbTable('penstock', { now: Date.now }, moto.client);
}, 300_000);
afterAll(() => {
  table.close();
  moto.stop();
});

/** A tool is told of in each event that holds the response. */
const bodyWith = (description: string) => ({
  model: MODEL,
  input: 'Hi',
  background: true,
  max_output_tokens: 32,
  tools: [{ type: 'function', name: 'f', description, parameters: { type: 'object', properties: {} }, strict: false }],
  tool_choice: 'none',
});

describe.each([
  ['two of whose events fill a row', '\u65e5'.repeat(70_000)],
  ['each of whose events is longer than a row', '\u65e5\ud83d\udc0e'.repeat(100_000)],
])('an answer %s', (_, description) => {
  const create = (jobs?: { send(id: string): Promise<void> }) =>
    createGenerationGateway(new ScriptedEndpoint(() => says(tokenizer, 'Hello.')), {
      table,
      config: inLambda,
      ...(jobs === undefined ? {} : { jobs }),
    });

  it('is read again event by event as it was sent', async () => {
    const gateway = await create();
    const sent = await gateway.call('POST', '/v1/responses', { body: { ...bodyWith(description), stream: true } });
    expect(sent.status).toBe(200);
    const events = await sent.text();
    const id = /"id":"(resp_[^"]+)"/.exec(events)?.[1] ?? '';
    expect(events).toContain('event: response.completed');
    const again = await create();
    expect((await (await again.call('GET', `/v1/responses/${id}?stream=true`)).text()) === events).toBe(true);
    expect(gateway.logged.filter(({ level }) => level === 'error')).toEqual([]);
    const generation = sent.headers.get('x-penstock-generation') ?? '';
    await again.call('DELETE', `/v1/responses/${id}`);
    expect(await table.list(`generation/${generation}`)).toEqual([]);
  });

  it('is handed over to the function of the queue', async () => {
    const sent: string[] = [];
    const gateway = await create({ send: async (id) => void sent.push(id) });
    const queued = (await (await gateway.call('POST', '/v1/responses', { body: bodyWith(description) })).json()) as {
      id: string;
      status: string;
    };
    expect(queued.status).toBe('queued');
    const { services, config } = await createGenerationServices(new ScriptedEndpoint(() => says(tokenizer, 'Hello.')), {
      table,
      config: inLambda,
    });
    await createGenerationJob(createRoom(services, config))(sent[0] ?? '', never);
    const made = (await (await gateway.call('GET', `/v1/responses/${queued.id}`)).json()) as {
      status: string;
      tools: { description: string }[];
    };
    expect(made.status).toBe('completed');
    expect(made.tools[0]?.description === description).toBe(true);
  });
});

describe('a long text', () => {
  const piece = fc.constantFrom('a', '\u65e5', '\ud83d\udc0e', 'e\u0301');
  const text = fc
    .tuple(fc.array(piece, { maxLength: 4 }), fc.integer({ min: 0, max: 80_000 }))
    .map(([some, times]) => some.join('').repeat(times));

  it('is what it was, in rows that a store takes, and leaves nothing behind', async () => {
    await fc.assert(
      fc.asyncProperty(text, async (whole) => {
        const memory = createMemoryTable({ now: Date.now });
        let longest = 0;
        const watched: Table = {
          ...memory,
          write(change) {
            if (change.type === 'put') longest = Math.max(longest, Buffer.byteLength(JSON.stringify(change.attributes)));
            return memory.write(change);
          },
        };
        const attributes = await writePieces(watched, 'p', whole);
        expect((await joinPieces(memory, attributes)) === whole).toBe(true);
        expect(Math.max(longest, Buffer.byteLength(attributes.text))).toBeLessThan(400_000);
        await deletePieces(memory, attributes);
        if (attributes.pieces !== undefined) expect(await memory.list(attributes.pieces)).toEqual([]);
      }),
      { numRuns: 20 },
    );
  });
});
