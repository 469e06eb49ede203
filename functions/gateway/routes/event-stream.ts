import { TakenOverError } from '../errors.ts';
import { within } from '../generation/pause.ts';
import type { LoggedEvent } from '../generation/token-log.ts';
import { encodeError } from '../openai/error-body.ts';
import type { Log } from '../services.ts';

/** How events are written; the values are JSON. */
export interface EventFraming {
  frame(value: unknown): string;
  /** What follows the last event. */
  readonly end: string;
  /** After this nothing follows. */
  isLast(frame: string): boolean;
}

/** Chat completions and completions: bare data, `[DONE]` at the end. */
const DONE = 'data: [DONE]\n\n';
export const DATA_EVENTS: EventFraming = {
  frame: (value) => `data: ${JSON.stringify(value)}\n\n`,
  end: DONE,
  isLast: (frame) => frame === DONE,
};

/** Responses: each event under its own name; the last one says by itself that it is. */
export const NAMED_EVENTS: EventFraming = {
  frame: (value) => `event: ${nameOf(value)}\ndata: ${JSON.stringify(value)}\n\n`,
  end: '',
  isLast: (frame) => /^event: response\.(?:completed|incomplete|failed)\n/.test(frame),
};

function nameOf(value: unknown): string {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string' ? value.type : 'error';
}

/**
 * Events as they go over the wire, the end or the failure included: a failure is an error event and no `[DONE]`.
 * @param isLeft the client is gone: a failure that comes from its leaving is told to nobody.
 */
export async function* frameEvents(
  events: AsyncIterable<unknown>,
  options: { requestId: string; log: Log; framing: EventFraming; isLeft: () => boolean },
): AsyncGenerator<string> {
  const { requestId, log, framing, isLeft } = options;
  try {
    for await (const value of events) yield framing.frame(value);
    if (framing.end !== '') yield framing.end;
  } catch (error) {
    if (isLeft() || error instanceof TakenOverError) return;
    log.write('error', 'stream-failed', { requestId, error: error instanceof Error ? error.name : 'unknown' });
    yield framing.frame(encodeError(error, requestId));
  }
}

/** What is said while nothing comes: a comment, or an event for clients that asked for them. */
export interface KeepAlive {
  readonly afterMs: number;
  frame(): string;
}

export const COMMENT = ': keep-alive\n\n';

/**
 * Answers with server-sent events, each under its number. An event is pulled when the client has read the one before it, so a slow client slows
 * its own answer and nothing piles up. `onLeave` is called when the client leaves.
 */
export function eventStreamResponse(
  events: AsyncIterator<LoggedEvent>,
  options: { onLeave: () => void; keepAlive: KeepAlive; headers: Readonly<Record<string, string>> },
): Response {
  const { onLeave, keepAlive, headers } = options;
  const encoder = new TextEncoder();
  let next: Promise<IteratorResult<LoggedEvent>> | undefined;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      next ??= events.next();
      const result = await within(next, keepAlive.afterMs);
      if (result === undefined) {
        controller.enqueue(encoder.encode(keepAlive.frame()));
        return;
      }
      next = undefined;
      if (result.done === true) {
        controller.close();
        return;
      }
      controller.enqueue(encoder.encode(`id: ${result.value.sequence}\n${result.value.frame}`));
    },
    async cancel() {
      onLeave();
      next?.catch(() => undefined);
      await events.return?.();
    },
  });
  return new Response(body, {
    headers: {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no', // nginx buffers otherwise
      ...headers,
    },
  });
}
