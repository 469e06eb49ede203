/** A gateway process of its own over a SQLite file, in front of a toy model that takes its time. Arguments: file, milliseconds for a token. */
import { setTimeout as sleep } from 'node:timers/promises';
import { serve } from '@hono/node-server';
import { createSqliteTable } from '../../functions/drivers/sqlite-table.ts';
import { createGenerationApp } from './generation-gateway.ts';
import { ToyEndpoint } from './toy-endpoint.ts';

const [file = '', pauseMs = '20'] = process.argv.slice(2);
const table = createSqliteTable(file, { now: Date.now });
const endpoint = new ToyEndpoint(undefined, () => sleep(Number(pauseMs)));
const { app } = await createGenerationApp(endpoint, { table, recovers: true, config: { runnerLeaseMs: 1_000 } });
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => process.stdout.write(`${port}\n`));
