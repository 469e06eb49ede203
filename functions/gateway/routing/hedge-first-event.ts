/**
 * Two streams for one: when the first is silent for a while, a second is begun, and whichever speaks first is read to its end. The other is stopped.
 * Cuts the tail of the time to first token at the price of work that is done twice. Dean and Barroso, The Tail at Scale, 2013.
 */

/** A stream that has not begun, with what stops it. */
export interface Candidate<Event> {
  readonly events: AsyncIterable<Event>;
  stop(): void;
}

/** @param second begins the other one; `undefined` when there is none. A candidate that fails leaves the answer to the other. */
export async function* hedgeFirstEvent<Event>(
  first: Candidate<Event>,
  second: () => Candidate<Event> | undefined,
  afterMs: number,
): AsyncGenerator<Event> {
  const running = [begin(first)];
  try {
    const isSilent = await Promise.race([running[0]?.outcome.then(() => false), after(afterMs)]);
    const other = isSilent === true ? second() : undefined;
    if (other !== undefined) running.push(begin(other));
    const winner = await firstToSpeak(running);
    for (const each of running) if (each !== winner) each.candidate.stop();
    for (let result = await winner.first; result.done !== true; result = await winner.iterator.next()) yield result.value;
  } finally {
    for (const { candidate, iterator, first: pending } of running) {
      candidate.stop();
      pending.catch(() => undefined); // of a loser nobody hears
      // A loser that does not heed its stop is not waited for.
      void iterator.return?.().catch(() => undefined);
    }
  }
}

interface Running<Event> {
  readonly candidate: Candidate<Event>;
  readonly iterator: AsyncIterator<Event> & { return?(): Promise<IteratorResult<Event>> };
  readonly first: Promise<IteratorResult<Event>>;
  /** Whether it spoke; never rejects. */
  readonly outcome: Promise<boolean>;
}

function begin<Event>(candidate: Candidate<Event>): Running<Event> {
  const iterator = candidate.events[Symbol.asyncIterator]();
  const first = iterator.next();
  return {
    candidate,
    iterator,
    first,
    outcome: first.then(
      () => true,
      () => false,
    ),
  };
}

/** The one that speaks first; when none does, the one that failed last, whose failure is the answer's. */
async function firstToSpeak<Event>(running: readonly Running<Event>[]): Promise<Running<Event>> {
  const waiting = new Set(running);
  for (;;) {
    const [each, spoke] = await Promise.race([...waiting].map(async (one) => [one, await one.outcome] as const));
    waiting.delete(each);
    if (spoke || waiting.size === 0) return each;
  }
}

function after(milliseconds: number): Promise<true> {
  return new Promise((resolve) => {
    setTimeout(() => resolve(true), milliseconds).unref?.();
  });
}
