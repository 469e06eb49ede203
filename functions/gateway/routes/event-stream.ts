import { encodeError } from '../openai/error-body.ts';
import type { Log } from '../services.ts';

/**
 * Answers with server-sent events, one `data:` line each, `[DONE]` at the end. An event is pulled when the client has read the one
 * before it, so a slow client slows its own answer and nothing piles up. A failure ends the stream with an error event and no `[DONE]`.
 * `gone` is aborted when the client leaves.
 */
export function eventStreamResponse(
  events: AsyncIterableIterator<unknown>,
  options: { gone: AbortController; requestId: string; log: Log },
): Response {
  const { gone, requestId, log } = options;
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await events.next();
        if (done === true) {
          controller.enqueue(encoder.encode('data: [DONE]\n\n'));
          controller.close();
          return;
        }
        controller.enqueue(encoder.encode(`data: ${JSON.stringify(value)}\n\n`));
      } catch (error) {
        if (gone.signal.aborted) return;
        log.write('error', 'stream-failed', { requestId, error: error instanceof Error ? error.name : 'unknown' });
        controller.enqueue(encoder.encode(`data: ${JSON.stringify(encodeError(error, requestId))}\n\n`));
        controller.close();
      }
    },
    async cancel() {
      gone.abort();
      await events.return?.();
    },
  });
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no', // nginx buffers otherwise
    },
  });
}
