/**
 * Pulls the first event, so that a failure until then is still an HTTP status: once the answer has begun it can only be an error event.
 * @param early begins the answer without it, because the first event will take a while.
 * @returns the whole stream, first event included.
 */
export async function begin<Event>(events: AsyncIterable<Event>, early?: Promise<void>): Promise<AsyncIterableIterator<Event>> {
  const iterator = events[Symbol.asyncIterator]();
  const first = iterator.next();
  await (early === undefined ? first : Promise.race([first, early]));
  first.catch(() => undefined); // whoever reads the stream meets it
  return replay(first, iterator);
}

async function* replay<Event>(first: Promise<IteratorResult<Event>>, rest: AsyncIterator<Event>): AsyncGenerator<Event> {
  try {
    for (let result = await first; result.done !== true; result = await rest.next()) yield result.value;
  } finally {
    await rest.return?.();
  }
}
