/**
 * Pulls the first event, so that a failure until then is still an HTTP status: once the answer has begun it can only be an error event.
 * @returns the whole stream, first event included.
 */
export async function begin<Event>(events: AsyncIterable<Event>): Promise<AsyncIterableIterator<Event>> {
  const iterator = events[Symbol.asyncIterator]();
  const first = await iterator.next();
  return replay(first, iterator);
}

async function* replay<Event>(first: IteratorResult<Event>, rest: AsyncIterator<Event>): AsyncGenerator<Event> {
  try {
    for (let result = first; result.done !== true; result = await rest.next()) yield result.value;
  } finally {
    await rest.return?.();
  }
}
