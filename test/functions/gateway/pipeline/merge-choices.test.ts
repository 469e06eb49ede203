import { setImmediate } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeChoices } from '../../../../functions/gateway/pipeline/merge-choices.ts';
import { untilAborted } from '../../../support/scripted-endpoint.ts';

async function* emit(values: readonly number[], scheduler: fc.Scheduler): AsyncGenerator<{ value: number }> {
  for (const value of values) {
    await scheduler.schedule(Promise.resolve());
    yield { value };
  }
}

describe('mergeChoices', () => {
  it('loses, invents and reorders nothing within a choice, however the choices interleave', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(fc.nat()), { maxLength: 5 }), fc.scheduler(), async (choices, scheduler) => {
        const merged = mergeChoices(
          choices.map((values, index) => ({ index, events: emit(values, scheduler) })),
          new AbortController(),
        );
        const seen: number[][] = choices.map(() => []);
        const reading = (async () => {
          for await (const { index, value } of merged) seen[index]?.push(value);
        })();
        await scheduler.waitFor(reading);
        expect(seen).toEqual(choices);
      }),
    );
  });

  it('fails the whole when one choice fails, and stops the others', async () => {
    const stop = new AbortController();
    async function* fail(): AsyncGenerator<{ value: number }> {
      yield { value: 1 };
      throw new Error('the endpoint broke');
    }
    async function* wait(): AsyncGenerator<{ value: number }> {
      yield await untilAborted(stop.signal);
    }
    const merged = mergeChoices(
      [
        { index: 0, events: wait() },
        { index: 1, events: fail() },
      ],
      stop,
    );
    expect((await merged.next()).value).toEqual({ index: 1, value: 1 });
    await expect(merged.next()).rejects.toThrow('the endpoint broke');
    expect(stop.signal.aborted).toBe(true);
  });

  it.each([1, 2])('keeps a failure for a reader who comes to it late, of %i choices', async (count) => {
    const unhandled: unknown[] = [];
    const note = (error: unknown) => unhandled.push(error);
    process.on('unhandledRejection', note);
    async function* fail(): AsyncGenerator<{ value: number }> {
      yield { value: 1 };
      throw new Error('the endpoint broke');
    }
    const choices = Array.from({ length: count }, (_, index) => ({ index, events: fail() }));
    const merged = mergeChoices(choices, new AbortController());
    await merged.next();
    await setImmediate(); // Node looks for failures that nobody met once all promises are through
    await setImmediate();
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
    const rest = (async () => {
      for await (const _ of merged);
    })();
    await expect(rest).rejects.toThrow('the endpoint broke');
  });

  it('closes choices that wait for a token when its reader leaves', async () => {
    const stop = new AbortController();
    let closed = 0;
    async function* waitAfterFirst(): AsyncGenerator<{ value: number }> {
      try {
        yield { value: 0 };
        await untilAborted(stop.signal);
      } finally {
        closed += 1;
      }
    }
    for await (const _ of mergeChoices(
      [0, 1, 2].map((index) => ({ index, events: waitAfterFirst() })),
      stop,
    ))
      break;
    expect(closed).toBe(3);
  });
});
