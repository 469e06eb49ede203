import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { type Candidate, hedgeFirstEvent } from '../../../../functions/gateway/routing/hedge-first-event.ts';

/** Speaks after so long, or fails then; says whether it was stopped. */
function candidate(name: string, afterMs: number, fails = false): Candidate<string> & { isStopped: boolean } {
  async function* events() {
    await sleep(afterMs);
    if (fails) throw new Error(`${name} failed`);
    yield `${name} 1`;
    yield `${name} 2`;
  }
  const made = {
    events: events(),
    isStopped: false,
    stop() {
      made.isStopped = true;
    },
  };
  return made;
}

async function collect(events: AsyncIterable<string>): Promise<string[]> {
  const all: string[] = [];
  for await (const event of events) all.push(event);
  return all;
}

describe('a hedged stream', () => {
  it('begins no second one while the first is quick', async () => {
    const begun: string[] = [];
    const second = () => {
      begun.push('second');
      return candidate('second', 0);
    };
    expect(await collect(hedgeFirstEvent(candidate('first', 0), second, 200))).toEqual(['first 1', 'first 2']);
    expect(begun).toEqual([]);
  });

  it('reads whichever speaks first, and stops the other', async () => {
    const slow = candidate('first', 150);
    expect(await collect(hedgeFirstEvent(slow, () => candidate('second', 0), 10))).toEqual(['second 1', 'second 2']);
    expect(slow.isStopped).toBe(true);
    const late = candidate('second', 500);
    expect(await collect(hedgeFirstEvent(candidate('first', 40), () => late, 10))).toEqual(['first 1', 'first 2']);
    expect(late.isStopped).toBe(true);
  });

  it('leaves the answer to the other when one fails, and fails when both do', async () => {
    expect(await collect(hedgeFirstEvent(candidate('first', 30, true), () => candidate('second', 60), 10))).toEqual([
      'second 1',
      'second 2',
    ]);
    expect(await collect(hedgeFirstEvent(candidate('first', 60), () => candidate('second', 5, true), 10))).toEqual(['first 1', 'first 2']);
    await expect(collect(hedgeFirstEvent(candidate('first', 30, true), () => candidate('second', 60, true), 10))).rejects.toThrow(
      'second failed',
    );
    await expect(collect(hedgeFirstEvent(candidate('first', 30, true), () => undefined, 10))).rejects.toThrow('first failed');
  });
});
