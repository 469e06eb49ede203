import { within } from '../../generation/pause.ts';

/** The time of a stage is over. */
export class TimeUp extends Error {
  override readonly name = 'TimeUp';
}

/**
 * The same events until the time is up, counted only while one is awaited: a slow reader costs a stage nothing.
 * @param stop is aborted when the time is up: a generator that waits cannot be closed otherwise.
 * @throws {TimeUp}
 */
export async function* limitTime<Event>(events: AsyncIterable<Event>, milliseconds: number, stop: AbortController): AsyncGenerator<Event> {
  const iterator = events[Symbol.asyncIterator]();
  let left = milliseconds;
  try {
    for (;;) {
      const startedAt = performance.now();
      const next = iterator.next();
      const result = await within(next, left);
      left -= performance.now() - startedAt;
      if (result === undefined) {
        stop.abort(new TimeUp());
        await next.catch(() => undefined); // what was used is written down by then; how it ended no longer matters
        throw new TimeUp();
      }
      if (result.done === true) return;
      yield result.value;
    }
  } finally {
    await iterator.return?.();
  }
}
