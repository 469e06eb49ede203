/** Answers that are read again: by the same Idempotency-Key, or by their id. Any process can, while the answer is made and afterwards. */
import { GenerationNotFoundError, InvalidRequestError } from '../errors.ts';
import { findKeyHolder, releaseIdempotencyKey } from '../generation/idempotency.ts';
import type { Room } from '../generation/room.ts';
import { isRunnerAlive } from '../generation/runner.ts';
import { findStart, type LoggedEvent, type LogHead } from '../generation/token-log.ts';
import { encodeError } from '../openai/error-body.ts';
import { COMMENT, DATA_EVENTS, type EventFraming, eventStreamResponse, type KeepAlive } from './event-stream.ts';
import { GENERATION_HEADER, type RouteContext } from './route-context.ts';

const POLL_MS = 50;

/**
 * The answer that another request with this Idempotency-Key makes or has made, to the same bytes; `undefined` when that request failed: this one
 * may try.
 * @param wants `start` where the first request was answered with what it had begun, and its events went on in the background.
 */
export async function replayAnswer(
  c: RouteContext,
  room: Room,
  generationId: string,
  ownerId: string,
  key: string,
  wants: 'answer' | 'start' = 'answer',
): Promise<Response | undefined> {
  const head = await untilBegun(c, room, generationId, ownerId, key);
  if (head === undefined) return undefined;
  if (head.isLost === true) {
    await releaseIdempotencyKey(room, ownerId, key, generationId);
    return undefined;
  }
  if (head.form === 'stream' && wants === 'answer') return followAnswer(c, room, generationId, 0);
  const headers = { 'content-type': 'application/json', [GENERATION_HEADER]: generationId };
  const start = wants === 'start' ? await findStart(room.table, generationId) : undefined;
  if (start !== undefined) return new Response(start, { headers });
  for await (const event of room.logs.follow(generationId, 0, lostWhole, c.req.raw.signal)) {
    const body = wants === 'start' ? readStart(event.frame) : event.frame;
    if (event.frame === LOST || body === undefined) break;
    return new Response(body, { headers });
  }
  await releaseIdempotencyKey(room, ownerId, key, generationId); // it ended without an answer
  return undefined;
}

/** The response that a stream's first event begins with: what the first request was answered, to the byte. */
function readStart(frame: string): string | undefined {
  const data: unknown = JSON.parse(/^data: (.+)$/m.exec(frame)?.[1] ?? 'null');
  return typeof data === 'object' && data !== null && 'response' in data ? JSON.stringify(data.response) : undefined;
}

/** What ends a whole answer whose process died: no JSON, so it is none. */
const LOST = '';
const lostWhole = () => LOST;

async function untilBegun(
  c: RouteContext,
  room: Room,
  generationId: string,
  ownerId: string,
  key: string,
): Promise<Pick<LogHead, 'form' | 'ended' | 'isLost'> | undefined> {
  const giveUpAt = room.clock.now() + room.config.queue.maxWaitMs;
  while (room.clock.now() < giveUpAt) {
    c.req.raw.signal.throwIfAborted();
    try {
      return await room.logs.head(generationId, ownerId);
    } catch (error) {
      if (!(error instanceof GenerationNotFoundError)) throw error;
    }
    const holder = await findKeyHolder(room, ownerId, key);
    if (holder?.generationId !== generationId) return undefined;
    if (!(await isRunnerAlive(room.table, room.clock, holder.runnerId, holder.at, room.config.runnerLeaseMs))) break;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  await releaseIdempotencyKey(room, ownerId, key, generationId); // its process died before the answer began
  return undefined;
}

interface Following {
  readonly framing?: EventFraming;
  readonly keepAlive?: KeepAlive;
  readonly headers?: Readonly<Record<string, string>>;
  /** An event was read. */
  readonly onRead?: () => void;
}

/** The events after a number, with their ids, as the first reader got them. */
export function followAnswer(c: RouteContext, room: Room, generationId: string, after: number, following: Following = {}): Response {
  const { framing = DATA_EVENTS, keepAlive = { afterMs: room.config.keepAliveMs, frame: () => COMMENT }, headers, onRead } = following;
  const left = new AbortController();
  const lostFrame = (error: Error) => framing.frame(encodeError(error, c.get('requestId')));
  const events = room.logs.follow(generationId, after, lostFrame, AbortSignal.any([left.signal, c.req.raw.signal]));
  return eventStreamResponse(untilLeft(events, left.signal, onRead), {
    onLeave: () => left.abort(),
    keepAlive,
    headers: { [GENERATION_HEADER]: generationId, ...headers },
  });
}

async function* untilLeft(
  events: AsyncIterable<LoggedEvent>,
  left: AbortSignal,
  onRead: () => void = () => undefined,
): AsyncGenerator<LoggedEvent> {
  try {
    for await (const event of events) {
      onRead();
      yield event;
    }
  } catch (error) {
    if (!left.aborted) throw error;
  }
}

/** `GET /v1/generations/{id}/events`, from `Last-Event-ID` or `starting_after` on. */
export async function readEvents(c: RouteContext, room: Room): Promise<Response> {
  const id = c.req.param('id') ?? '';
  const { form } = await room.logs.head(id, c.get('caller').ownerId);
  const after = readAfter(c);
  if (form === 'stream') return followAnswer(c, room, id, after);
  for await (const event of room.logs.follow(id, 0, lostWhole, c.req.raw.signal)) {
    if (event.frame !== LOST)
      return new Response(event.frame, { headers: { 'content-type': 'application/json', [GENERATION_HEADER]: id } });
  }
  throw new GenerationNotFoundError();
}

function readAfter(c: RouteContext): number {
  const text = c.req.header('last-event-id') ?? c.req.query('starting_after') ?? '0';
  const after = Number(text);
  if (text !== '' && Number.isSafeInteger(after) && after >= 0) return after;
  throw new InvalidRequestError('The last event id must be the number of an event: a whole number from 0.', { param: 'starting_after' });
}

/** `POST /v1/generations/{id}/cancel`: the endpoint's work stops within a second, wherever it runs. */
export async function cancelGeneration(c: RouteContext, room: Room): Promise<Response> {
  const id = c.req.param('id') ?? '';
  const { ended } = await room.logs.head(id, c.get('caller').ownerId);
  if (!ended) await room.logs.cancel(id);
  return c.json({ id, object: 'generation', status: ended ? 'ended' : 'cancelling' });
}

/** `DELETE /v1/generations/{id}`: what it said is forgotten; its line in the ledger, which has no text, stays. */
export async function deleteGeneration(c: RouteContext, room: Room): Promise<Response> {
  const id = c.req.param('id') ?? '';
  const { ended } = await room.logs.head(id, c.get('caller').ownerId);
  if (!ended) throw new InvalidRequestError('This generation is still running. Cancel it first.', { code: 'generation_running' });
  await room.logs.forget(id);
  return c.json({ id, object: 'generation.deleted', deleted: true });
}

/** `POST /v1/generations/{id}/acknowledge`: renews the lease. */
export async function acknowledgeGeneration(c: RouteContext, room: Room): Promise<Response> {
  const id = c.req.param('id') ?? '';
  const { ended } = await room.logs.head(id, c.get('caller').ownerId);
  if (!ended) await room.logs.acknowledge(id);
  return c.json({ id, object: 'generation', status: ended ? 'ended' : 'running' });
}
