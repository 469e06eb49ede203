import type { Http2Bindings, HttpBindings } from '@hono/node-server';

/**
 * Hono's Node adapter waits for a second chunk, up to a timer's tick, before it sends an answer's head, in case the answer is short enough to
 * name its length. A stream of events never is, and says so. An HTTP/1.0 client must not be sent chunks (RFC 9112, section 6.1).
 * The head and the first event leave in one packet when both are there: whoever waits for a token is woken once.
 */
export function sendAtOnce(
  fetch: (request: Request) => Response | Promise<Response>,
): (request: Request, bindings: HttpBindings | Http2Bindings) => Promise<Response> {
  return async (request, { incoming }) => {
    const response = await fetch(request);
    const isStream = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
    if (isStream && incoming.httpVersion === '1.1') {
      response.headers.set('transfer-encoding', 'chunked');
      const { socket } = incoming;
      socket.cork();
      // Once everything is done that can be done without waiting.
      process.nextTick(() => socket.uncork());
    }
    return response;
  };
}
