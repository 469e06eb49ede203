import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createMemoryTable } from '../../../../functions/drivers/memory-table.ts';
import { QuotaExceededError, RateLimitError } from '../../../../functions/gateway/errors.ts';
import { countersAt, type Limits, NANO } from '../../../../functions/gateway/keys/limits.ts';
import { createMeters, type Hold, type HoldRequest, type Meters, meterKey } from '../../../../functions/gateway/keys/meters.ts';
import { interleaved } from '../../../support/interleaved-table.ts';

const START = Date.UTC(2026, 10, 24, 23, 59, 30);
const owner = { runnerId: 'run', modelId: 'm', keyId: 'k', projectId: 'p', organizationId: 'o', requestId: 'r' };
const free = { promptToken: 0, completionToken: 0 };

function setUp(limits: Limits, above: readonly Limits[] = []) {
  const clock = { at: START, now: () => clock.at };
  const table = createMemoryTable(clock);
  const meters = createMeters(table, clock);
  let count = 0;
  const scopes = [limits, ...above].map((each, index) => ({ name: `key/${index}`, limits: each }));
  const request = (promptTokens: number, completionTokens: number, price = free): HoldRequest => {
    count += 1;
    return { generationId: `gen_${count}`, meters: scopes, owner, promptTokens, completionTokens, price };
  };
  const counters = async (index = 0) => (await table.read(meterKey(`key/${index}`)))?.attributes ?? {};
  return { clock, table, meters, request, counters };
}

describe('escrow', () => {
  it('sets aside prompt and answer, and gives back what was not used', async () => {
    const { meters, request, counters } = setUp({ tokens_total: 100 });
    const hold = await meters.hold(request(10, 50));
    expect(await counters()).toMatchObject({ 'tokens/total': 60, open: 1 });
    expect(await meters.settle(hold, { promptTokens: 10, completionTokens: 7 })).toBe(true);
    expect(await counters()).toMatchObject({ 'tokens/total': 17, open: 0 });
    expect(Object.keys(await counters()).filter((name) => name.startsWith('hold/'))).toEqual([]);
  });

  it('settles once, whoever settles', async () => {
    const { meters, request, counters } = setUp({});
    const hold = await meters.hold(request(10, 50));
    const results = await Promise.all([1, 2, 3].map((n) => meters.settle(hold, { promptTokens: 10, completionTokens: n })));
    expect(results.filter(Boolean)).toHaveLength(1);
    expect(await counters()).toMatchObject({ open: 0, 'tokens/total': 11 });
  });

  it('holds what a budget has left, and refuses when not one token is left', async () => {
    const { meters, request } = setUp({ tokens_per_day: 100 });
    expect((await meters.hold(request(10, 50))).completionTokens).toBe(50);
    expect((await meters.hold(request(10, 50))).completionTokens).toBe(30);
    const refusal = await meters.hold(request(10, 50)).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(QuotaExceededError);
    expect(refusal).toMatchObject({ status: 429, code: 'insufficient_quota', retryAfterSeconds: 30 });
  });

  it('starts anew with the window', async () => {
    const { clock, meters, request, counters } = setUp({ tokens_per_day: 100 });
    await meters.hold(request(10, 90));
    clock.at += 30_000;
    expect((await meters.hold(request(10, 90))).completionTokens).toBe(90);
    clock.at += 25 * 3_600_000;
    await meters.hold(request(1, 1));
    await meters.hold(request(1, 1)); // takes along what the one before saw
    expect(
      Object.keys(await counters())
        .filter((name) => name.startsWith('tokens/'))
        .sort(),
    ).toEqual(
      ['tokens/2026-11', 'tokens/2026-11-26', 'tokens/2026-11-26T00:59', 'tokens/total'].map((name) =>
        name.replace('T00:59', `T${new Date(clock.at).toISOString().slice(11, 16)}`),
      ),
    );
  });

  it('asks to come back in the next minute rather than cut an answer short', async () => {
    const { meters, request } = setUp({ tokens_per_minute: 100 });
    const hold = await meters.hold(request(10, 50));
    expect(hold.rateLimits.headers).toEqual({
      'x-ratelimit-limit-tokens': '100',
      'x-ratelimit-remaining-tokens': '40',
      'x-ratelimit-reset-tokens': '30s',
    });
    const refusal = await meters.hold(request(10, 50)).catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(RateLimitError);
    expect(refusal).toMatchObject({ type: 'tokens', retryAfterSeconds: 30 });
    // One that fits into no minute is served as far as it goes.
    const { meters: fresh, request: another } = setUp({ tokens_per_minute: 100 });
    expect((await fresh.hold(another(10, 500))).completionTokens).toBe(90);
  });

  it('counts requests and those that run at once', async () => {
    const { meters, request } = setUp({ requests_per_minute: 3, concurrent_requests: 2 });
    const first = await meters.hold(request(1, 1));
    await meters.hold(request(1, 1));
    await expect(meters.hold(request(1, 1))).rejects.toThrow(/2 requests running/);
    await meters.settle(first, { promptTokens: 1, completionTokens: 1 });
    await meters.hold(request(1, 1));
    await expect(meters.hold(request(1, 1))).rejects.toMatchObject({ type: 'requests' });
  });

  it('counts money, to the nano-dollar', async () => {
    const price = { promptToken: 1_000, completionToken: 4_000 }; // $1 and $4 for a million
    const { meters, request, counters } = setUp({ dollars_per_month: 0.001 });
    const hold = await meters.hold(request(100, 1_000, price));
    expect(hold.completionTokens).toBe(Math.floor((0.001 * NANO - 100 * 1_000) / 4_000));
    await meters.settle(hold, { promptTokens: 100, completionTokens: 3 });
    expect(await counters()).toMatchObject({ 'nanodollars/2026-11': 112_000 });
  });

  it('is bound by every limit above the key, and leaves nothing behind when one refuses', async () => {
    const { meters, request, counters } = setUp({ tokens_total: 1_000 }, [{ tokens_total: 50 }]);
    expect((await meters.hold(request(10, 100))).completionTokens).toBe(40);
    await expect(meters.hold(request(10, 100))).rejects.toThrow(QuotaExceededError);
    expect(await counters(0)).toMatchObject({ 'tokens/total': 50, open: 1 });
    expect(await counters(1)).toMatchObject({ 'tokens/total': 50, open: 1 });
  });

  it('holds more while there is more', async () => {
    const { meters, request } = setUp({ tokens_total: 100 });
    const hold = await meters.hold(request(10, 20));
    const longer = await meters.extend(hold, 50);
    expect(longer?.completionTokens).toBe(70);
    const last = longer === undefined ? undefined : await meters.extend(longer, 50);
    expect(last?.completionTokens).toBe(90);
    expect(last === undefined ? 0 : await meters.extend(last, 50)).toBeUndefined();
  });

  it('never passes a limit and loses nothing, in whatever order holds, extensions and settlements meet', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.record({ tokens_total: fc.integer({ min: 1, max: 300 }), concurrent_requests: fc.integer({ min: 1, max: 6 }) }),
        fc.array(
          fc.record({
            prompt: fc.integer({ min: 1, max: 30 }),
            answer: fc.integer({ min: 1, max: 60 }),
            used: fc.nat(100),
            extends: fc.boolean(),
          }),
          {
            minLength: 1,
            maxLength: 10,
          },
        ),
        async (scheduler, limits, clients) => {
          const { table, clock, request, counters } = setUp(limits);
          let largest = 0;
          const slow = interleaved(table, scheduler, async () => {
            largest = Math.max(largest, Number((await counters())['tokens/total'] ?? 0));
          });
          const meters = createMeters(slow, clock);
          const delivered = await scheduler.waitFor(
            Promise.all(clients.map((client) => serve(meters, request(client.prompt, client.answer), client))),
          );
          const sum = delivered.reduce((total, tokens) => total + tokens, 0);
          expect(largest).toBeLessThanOrEqual(limits.tokens_total);
          expect((await counters())['tokens/total'] ?? 0).toBe(sum);
          expect((await counters())['open'] ?? 0).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });
});

/** One request through its escrow: how many tokens it used. */
async function serve(meters: Meters, request: HoldRequest, client: { used: number; extends: boolean }): Promise<number> {
  let hold: Hold;
  try {
    hold = await meters.hold(request);
  } catch (error) {
    expect(error instanceof RateLimitError || error instanceof QuotaExceededError).toBe(true);
    return 0;
  }
  if (client.extends) hold = (await meters.extend(hold, 20)) ?? hold;
  const completionTokens = Math.min(client.used, hold.completionTokens);
  await meters.settle(hold, { promptTokens: hold.promptTokens, completionTokens });
  return hold.promptTokens + completionTokens;
}

describe('counters', () => {
  it('end with the minute, the day and the month of UTC', () => {
    const reset = Object.fromEntries(countersAt(START, {}).map((counter) => [counter.name, counter.resetsAt]));
    expect(reset).toEqual({
      requests_per_minute: Date.UTC(2026, 10, 25),
      tokens_per_minute: Date.UTC(2026, 10, 25),
      tokens_per_day: Date.UTC(2026, 10, 25),
      tokens_per_month: Date.UTC(2026, 11, 1),
      tokens_total: undefined,
      dollars_per_day: Date.UTC(2026, 10, 25),
      dollars_per_month: Date.UTC(2026, 11, 1),
    });
  });
});
