/**
 * Merges streams in the order in which their events come, each event with the index of its stream. A stream that fails fails
 * the whole. However the loop is left, `stop` is aborted first: a stream that waits for a token could not be closed otherwise, because
 * a generator's `return()` waits for its running `next()`.
 */
export function mergeChoices<Event extends object>(
  choices: readonly Choice<Event>[],
  stop: AbortController,
): AsyncGenerator<Merged<Event>> {
  const [only, another] = choices;
  return only !== undefined && another === undefined ? tagChoice(only, stop) : mergeSeveral(choices, stop);
}

interface Choice<Event> {
  readonly index: number;
  readonly events: AsyncIterable<Event>;
}

type Merged<Event> = Event & { readonly index: number };

async function* tagChoice<Event extends object>({ index, events }: Choice<Event>, stop: AbortController): AsyncGenerator<Merged<Event>> {
  const iterator = events[Symbol.asyncIterator]();
  try {
    for (let result = await iterator.next(); result.done !== true; result = await iterator.next()) yield { ...result.value, index };
  } finally {
    stop.abort();
    await iterator.return?.().catch(() => undefined);
  }
}

async function* mergeSeveral<Event extends object>(
  choices: readonly Choice<Event>[],
  stop: AbortController,
): AsyncGenerator<Merged<Event>> {
  const running = new Map(choices.map((choice) => [choice.index, choice.events[Symbol.asyncIterator]()]));
  const pull = (index: number, iterator: AsyncIterator<Event>) => {
    const pulled = iterator.next().then((result) => ({ index, result }));
    pulled.catch(() => undefined); // whoever reads slowly meets it when it comes to it
    return pulled;
  };
  const pending = new Map([...running].map(([index, iterator]) => [index, pull(index, iterator)]));
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      const iterator = running.get(index);
      if (result.done === true || iterator === undefined) {
        pending.delete(index);
        running.delete(index);
        continue;
      }
      pending.set(index, pull(index, iterator));
      yield { ...result.value, index };
    }
  } finally {
    stop.abort();
    // What a pull that is still waiting brings, or how it fails, no longer matters to anyone.
    for (const late of pending.values()) late.catch(() => undefined);
    await Promise.allSettled([...running.values()].map((iterator) => iterator.return?.()));
  }
}
