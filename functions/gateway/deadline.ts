import { DeadlineError } from './errors.ts';
import type { FetchHandler } from './function-url.ts';

/**
 * Aborts a request's signal with a `DeadlineError` when it takes too long, so that the caller is told in the answer: Lambda would cut it
 * without a word. The signal of the caller who leaves is passed on.
 */
export function withDeadline(fetch: FetchHandler, deadlineMs: number): FetchHandler {
  return async function fetchInTime(request) {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(new DeadlineError()), deadlineMs);
    try {
      const signal = AbortSignal.any([request.signal, deadline.signal]);
      return clearAtEnd(await fetch(new Request(request, { signal })), timer);
    } catch (error) {
      clearTimeout(timer);
      throw error;
    }
  };
}

/** The same answer; the timer is cleared when its body ends, fails or is left. */
function clearAtEnd(response: Response, timer: NodeJS.Timeout): Response {
  const reader = response.body?.getReader();
  if (reader === undefined) {
    clearTimeout(timer);
    return response;
  }
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (value !== undefined) controller.enqueue(value);
          if (!done) return;
          clearTimeout(timer);
          controller.close();
        } catch (error) {
          clearTimeout(timer);
          controller.error(error);
        }
      },
      async cancel(reason) {
        clearTimeout(timer);
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
  return new Response(body, response);
}
