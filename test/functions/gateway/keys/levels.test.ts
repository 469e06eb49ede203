import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { QuotaExceededError, RateLimitError } from '../../../../functions/gateway/errors.ts';
import type { MeterScope } from '../../../../functions/gateway/keys/caller.ts';
import { type Limits, NANO } from '../../../../functions/gateway/keys/limits.ts';
import { createMeters, type Hold, type HoldRequest, meterKey } from '../../../../functions/gateway/keys/meters.ts';
import type { Attributes, Table } from '../../../../functions/gateway/services/table.ts';
import { interleaved } from '../../../support/interleaved-table.ts';

const START = Date.UTC(2026, 10, 24, 12, 0, 5);
const owner = { runnerId: 'run', modelId: 'm', keyId: 'k', projectId: 'p', organizationId: 'o', requestId: 'r' };
const price = { promptToken: 1_000, completionToken: 3_000 };
const clock = { now: () => START };

const limitsOf = fc.record(
  {
    tokens_total: fc.integer({ min: 1, max: 300 }),
    tokens_per_day: fc.integer({ min: 1, max: 300 }),
    concurrent_requests: fc.integer({ min: 1, max: 5 }),
    requests_per_minute: fc.integer({ min: 1, max: 8 }),
    dollars_per_month: fc.integer({ min: 1, max: 600 }).map((thousandNano) => (thousandNano * 1_000) / NANO),
  },
  { requiredKeys: [] },
);

/** What stands in a meter's row above its limit. */
function excess(limits: Limits, row: Attributes | undefined): readonly string[] {
  const count = (name: string) => Number(row?.[name] ?? 0);
  const found: [string, number, number | undefined][] = [
    ['tokens_total', count('tokens/total'), limits.tokens_total],
    ['tokens_per_day', count('tokens/2026-11-24'), limits.tokens_per_day],
    ['concurrent_requests', count('open'), limits.concurrent_requests],
    ['requests_per_minute', count('requests/2026-11-24T12:00'), limits.requests_per_minute],
    [
      'dollars_per_month',
      count('nanodollars/2026-11'),
      limits.dollars_per_month === undefined ? undefined : Math.round(limits.dollars_per_month * NANO),
    ],
  ];
  return found.flatMap(([name, value, limit]) => (limit !== undefined && value > limit ? [`${name}: ${value} > ${limit}`] : []));
}

describe('limits of key, project and organisation', () => {
  it('are passed at no level and no moment, however requests of several keys meet, grow, end or die', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.record({ one: limitsOf, other: limitsOf, project: limitsOf, organization: limitsOf }),
        fc.array(
          fc.record({
            key: fc.constantFrom('one' as const, 'other' as const),
            prompt: fc.integer({ min: 1, max: 20 }),
            answer: fc.integer({ min: 1, max: 50 }),
            used: fc.nat(80),
            extendedBy: fc.nat(30),
            dies: fc.boolean(),
          }),
          { minLength: 1, maxLength: 10 },
        ),
        async (scheduler, limits, clients) => {
          const plain = createMemoryTable(clock);
          const scopes: readonly MeterScope[] = (['one', 'other', 'project', 'organization'] as const).map((name) => ({
            name: `level/${name}`,
            limits: limits[name],
          }));
          const rowOf = async ({ name }: MeterScope) => (await plain.read(meterKey(name)))?.attributes;
          const table = interleaved(plain, scheduler, async () => {
            for (const scope of scopes) expect(excess(scope.limits, await rowOf(scope)), scope.name).toEqual([]);
          });
          const meters = createMeters(table, clock);
          const dead: Hold[] = [];
          const spent = new Map(scopes.map(({ name }) => [name, { tokens: 0, nano: 0 }]));
          const charge = (hold: HoldRequest, completionTokens: number) => {
            for (const { name } of hold.meters) {
              const sum = spent.get(name);
              if (sum === undefined) continue;
              sum.tokens += hold.promptTokens + completionTokens;
              sum.nano += hold.promptTokens * price.promptToken + completionTokens * price.completionToken;
            }
          };
          const serve = async (client: (typeof clients)[number], index: number) => {
            const levels = scopes.filter(({ name }) => name === `level/${client.key}` || /project|organization/.test(name));
            const request = { generationId: `gen_${index}`, meters: levels, owner, promptTokens: client.prompt, price };
            let hold: Hold;
            try {
              hold = await meters.hold({ ...request, completionTokens: client.answer });
            } catch (error) {
              expect(error instanceof RateLimitError || error instanceof QuotaExceededError).toBe(true);
              return;
            }
            if (client.extendedBy > 0) hold = (await meters.extend(hold, client.extendedBy)) ?? hold;
            if (client.dies) {
              dead.push(hold);
              return;
            }
            const completionTokens = Math.min(client.used, hold.completionTokens);
            await meters.settle(hold, { promptTokens: hold.promptTokens, completionTokens });
            charge(hold, completionTokens);
          };
          await scheduler.waitFor(Promise.all(clients.map(serve)));
          // Whoever finds a dead process's hold settles it by what its row says, some of them twice.
          await scheduler.waitFor(
            Promise.all([...dead, ...dead].map((hold) => meters.settle(hold, { promptTokens: hold.promptTokens, completionTokens: 0 }))),
          );
          for (const hold of dead) charge(hold, 0);
          for (const scope of scopes) {
            const row = (await rowOf(scope)) ?? {};
            expect(row['tokens/total'] ?? 0).toBe(spent.get(scope.name)?.tokens);
            expect(row['nanodollars/2026-11'] ?? 0).toBe(spent.get(scope.name)?.nano);
            expect(row['open'] ?? 0).toBe(0);
            expect(Object.keys(row).filter((name) => name.startsWith('hold/') || name.startsWith('held/'))).toEqual([]);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it('cost one write before admission, whatever stands above the key', async () => {
    const calls: string[] = [];
    const plain = createMemoryTable(clock);
    const table: Table = {
      ...plain,
      read(key) {
        calls.push('read');
        return plain.read(key);
      },
      write(change) {
        calls.push('write');
        return plain.write(change);
      },
      writeAll(changes) {
        calls.push(`transaction of ${changes.length}`);
        return plain.writeAll(changes);
      },
    };
    const meters = createMeters(table, clock);
    const admit = async (generationId: string, levels: readonly MeterScope[]) => {
      calls.length = 0;
      await meters.hold({ generationId, meters: levels, owner, promptTokens: 5, completionTokens: 10, price });
      return [...calls];
    };
    const key = { name: 'key/k', limits: { tokens_per_day: 1_000 } };
    const above = [
      { name: 'project/p', limits: { tokens_per_day: 1_000 } },
      { name: 'organization/o', limits: { dollars_per_month: 10 } },
    ];
    expect(await admit('gen_1', [key])).toEqual(['write']);
    expect(await admit('gen_2', [key, ...above])).toEqual(['transaction of 3']);
    // The headers tell what is left of the key's own minute.
    expect(await admit('gen_3', [{ ...key, limits: { tokens_per_minute: 1_000 } }, ...above])).toEqual(['transaction of 3', 'read']);
  });
});
