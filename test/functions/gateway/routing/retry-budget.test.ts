import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EndpointUnavailableError } from '../../../../functions/gateway/errors.ts';
import { RetryBudget } from '../../../../functions/gateway/routing/retry-budget.ts';
import { createGenerationGateway, readStream } from '../../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../../support/toy-endpoint.ts';

const events = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('request' as const), model: fc.constantFrom('a', 'b') }),
    fc.record({ type: fc.constant('failure' as const), model: fc.constantFrom('a', 'b') }),
    fc.record({ type: fc.constant('pause' as const), ms: fc.nat(3_000) }),
  ),
  { maxLength: 400 },
);

describe('the retry budget', () => {
  it('lets through no more than its share of the requests and what time gives, in every stretch of time, for each model by itself', () => {
    fc.assert(
      fc.property(events, fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 5 }), (sequence, percent, perSecond) => {
        const clock = { at: 0, now: () => clock.at };
        const budget = new RetryBudget({ percent, perSecond }, clock);
        const log = sequence.map((event) => {
          if (event.type === 'pause') clock.at += event.ms;
          else if (event.type === 'request') budget.deposit(event.model);
          const retried = event.type === 'failure' && budget.withdraw(event.model);
          return { at: clock.at, event, retried };
        });
        for (const model of ['a', 'b']) {
          for (let from = 0; from < log.length; from += 1) {
            let requests = 0;
            let retries = 0;
            for (const { at, event, retried } of log.slice(from)) {
              if (event.type === 'pause' || event.model !== model) continue;
              if (event.type === 'request') requests += 1;
              if (retried) retries += 1;
              const given = ((at - (log[from]?.at ?? 0)) / 1000) * perSecond + (requests * percent) / 100;
              expect(retries).toBeLessThanOrEqual(Math.max(1, perSecond * 10) + given + 1e-6);
            }
          }
        }
      }),
      { numRuns: 200 },
    );
  });

  it('gives what was earned: after enough requests one more retry is let through', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), (percent) => {
        const budget = new RetryBudget({ percent, perSecond: 0 }, { now: () => 0 });
        while (budget.withdraw('a'));
        for (let request = 0; request < Math.ceil(100 / percent); request += 1) budget.deposit('a');
        // A hundredth is not exact in binary: the last one may be a rounding error away.
        budget.deposit('a');
        expect(budget.withdraw('a')).toBe(true);
      }),
    );
  });

  it('tells failures at once when it is spent, however many tries an answer may have', async () => {
    const REQUESTS = 60;
    const endpoint = new ToyEndpoint(() => ({ after: 0, error: new EndpointUnavailableError('broken', 'penstock-gpt') }));
    const clock = { now: () => 1_000_000_000_000 };
    const retry = { maxFailures: 3, canWait: true, hedgeAfterMs: 0, budget: { percent: 10, perSecond: 1 } };
    const gateway = await createGenerationGateway(endpoint, { clock, config: { retry } });
    const answers = await Promise.all(Array.from({ length: REQUESTS }, () => gateway.complete()));
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([502]));
    expect(endpoint.requests.length).toBeGreaterThan(REQUESTS);
    expect(endpoint.requests.length).toBeLessThanOrEqual(REQUESTS + 10 + REQUESTS / 10);
  });

  it('does not count an answer that came far: it is gone on with, not begun again', async () => {
    const endpoint = new ToyEndpoint((_, call) => ({
      after: call < 4 ? 20 : 999,
      error: new EndpointUnavailableError('broken', 'penstock-gpt'),
    }));
    const retry = { maxFailures: 1, canWait: true, hedgeAfterMs: 0, budget: { percent: 0, perSecond: 0 } };
    const gateway = await createGenerationGateway(endpoint, { config: { retry } });
    const { finishReason, error } = await readStream(await gateway.complete({ max_tokens: 90, stream: true }));
    expect({ finishReason, error }).toEqual({ finishReason: 'length', error: undefined });
    expect(endpoint.requests).toHaveLength(5);
  });
});
