/**
 * `npm run bench:generation [-- --rounds 500 --alone]`: what keys, escrow, limits, the token log and the ledger add to the time to first token. The
 * same prompt goes through the app with everything on (SQLite, limits on key, project and organisation, every answer kept), through the app with
 * nothing of it, and straight to the model, in turn; the model answers at once. Then a table of what the gateway promises, with LiteLLM and
 * Portkey beside it (`peers/`), which are installed into the user's cache; `--alone` leaves them out.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createSqliteTable } from '../../functions/drivers/sqlite-table.ts';
import { createGenerationGateway, MODEL, PROMPT, type TestGateway } from '../support/generation-gateway.ts';
import { ToyEndpoint } from '../support/toy-endpoint.ts';
import { compareGateways } from './peers/compare.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '500' }, alone: { type: 'boolean', default: false } },
});
const rounds = Number(values.rounds);
const folder = mkdtempSync(join(tmpdir(), 'penstock-bench-'));
const instant = () => new ToyEndpoint(undefined, async () => {});

try {
  const tokenLog = { batchMs: 50, retentionSeconds: 3_600 };
  const on = await createGenerationGateway(instant(), {
    table: createSqliteTable(join(folder, 'bench.sqlite'), { now: Date.now }),
    config: { tokenLog: { ...tokenLog, keep: 'always' } },
  });
  const limits = {
    requests_per_minute: 1e9,
    tokens_per_minute: 1e12,
    tokens_per_day: 1e12,
    dollars_per_month: 1e5,
    concurrent_requests: 1e6,
  };
  const { key } = await on.createKey(limits, { project_id: 'bench', organization_id: 'bench' });
  for (const owner of ['projects', 'organizations'])
    await on.call('PUT', `/v1/admin/${owner}/bench/limits`, { body: { tokens_total: 1e12 } });
  const off = await createGenerationGateway(instant(), { config: { tokenLog: { ...tokenLog, keep: 'never' } } });
  const { key: plain } = await off.createKey();

  const direct = async () => {
    const startedAt = performance.now();
    const request = {
      target: { endpointName: 'x' },
      requestId: 'r',
      promptTokenIds: PROMPT,
      maxTokens: 8,
      stopTokenIds: [2],
      sampling: { temperature: 0, topP: 1 },
    };
    let first = Number.NaN;
    for await (const _ of instant().invoke(request, new AbortController().signal))
      if (Number.isNaN(first)) first = performance.now() - startedAt;
    return first;
  };
  const through = async (gateway: TestGateway, secret: string) => {
    const startedAt = performance.now();
    const body = { model: MODEL, prompt: PROMPT, max_tokens: 8, stream: true };
    const response = await gateway.call('POST', '/v1/completions', { body, key: secret });
    const reader = response.body?.getReader();
    await reader?.read();
    const first = performance.now() - startedAt;
    while ((await reader?.read())?.done === false);
    return first;
  };
  for (let warmUp = 0; warmUp < 100; warmUp += 1) await Promise.all([direct(), through(on, key), through(off, plain)]);
  const figures = { direct: [] as number[], off: [] as number[], on: [] as number[] };
  for (let round = 0; round < rounds; round += 1) {
    figures.direct.push(await direct());
    figures.off.push(await through(off, plain));
    figures.on.push(await through(on, key));
  }
  const added = (those: readonly number[]) => those.map((figure, index) => figure - (figures.direct[index] ?? 0));
  print('the app, nothing kept, no limits: added', added(figures.off));
  print('everything on: added', added(figures.on));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log('');
await compareGateways(Math.ceil(rounds / 5), !values.alone);
process.exit(); // connections that are kept alive would keep it

function print(what: string, figures: readonly number[]): void {
  const sorted = [...figures].sort((one, other) => one - other);
  const quantile = (q: number) => (sorted[Math.floor((sorted.length - 1) * q)] ?? Number.NaN).toFixed(2);
  console.log(`${what.padEnd(46)} p50 ${quantile(0.5)} ms   p90 ${quantile(0.9)} ms   p99 ${quantile(0.99)} ms`);
}
