/**
 * From an admitted request to the response, for every path that generates: names the generation, writes its events down, and decides what
 * happens when the client leaves. A plain client that leaves takes the endpoint's work with it. One that asked for a lease
 * (`x-penstock-lease: SECONDS`) may come back within it; one that sent an `Idempotency-Key` finds its answer under that key.
 */
import { InvalidRequestError } from '../errors.ts';
import type { Generation } from '../generation/generation.ts';
import { claimIdempotencyKey, digestOf, releaseIdempotencyKey } from '../generation/idempotency.ts';
import type { Room } from '../generation/room.ts';
import type { LoggedEvent, TokenLog } from '../generation/token-log.ts';
import { begin } from '../pipeline/begin.ts';
import type { GenerationEvent, GenerationRequest } from '../pipeline/generation-request.ts';
import { runRequest } from '../pipeline/run-request.ts';
import { COMMENT, DATA_EVENTS, type EventFraming, eventStreamResponse, frameEvents } from './event-stream.ts';
import { replayAnswer } from './replay-answer.ts';
import { GENERATION_HEADER, type RouteContext } from './route-context.ts';

const LEASE_HEADER = 'x-penstock-lease';
const STATUS_HEADER = 'x-penstock-status';
const IDEMPOTENCY_HEADER = 'idempotency-key';
const IDEMPOTENCY_SECONDS = 24 * 3600;

export interface AnswerForm {
  readonly isStream: boolean;
  /** False keeps nothing of the answer anywhere. */
  readonly isStored: boolean;
  /** The answer is made whether somebody waits for it or not, and its events are kept. */
  readonly isBackground?: boolean;
}

/** An answer that has begun. Exactly one of its methods is called. */
export interface Answer {
  readonly generationId: string;
  readonly events: AsyncIterable<GenerationEvent>;
  /** Answers at once; the chunks are made and kept meanwhile. */
  background(body: object, chunks: AsyncIterable<unknown>, framing: EventFraming): Response;
  json(body: object): Promise<Response>;
  stream(chunks: AsyncIterable<unknown>, framing?: EventFraming): Response;
}

/** @param encode reads the answer's events and gives the response by one of its methods. */
export async function deliverAnswer(
  c: RouteContext,
  room: Room,
  request: GenerationRequest,
  form: AnswerForm,
  encode: (answer: Answer) => Promise<Response>,
): Promise<Response> {
  const generationId = room.ids.create('gen_');
  const named = readIdempotencyKey(c);
  const keptSeconds = named === undefined ? room.config.cacheSeconds : IDEMPOTENCY_SECONDS;
  const isRepeatable = named !== undefined || (keptSeconds > 0 && form.isStored && isDeterministic(request));
  if (!isRepeatable) return encode(await startAnswer(c, room, request, form, generationId, undefined));
  const { ownerId } = c.get('caller');
  const digest = await digestOf(c.req.path, await c.req.text());
  // A header has no space in it: nobody can name this one.
  const key = named ?? `same request ${digest}`;
  for (;;) {
    const claim = await claimIdempotencyKey(room, { ownerId, key, digest, generationId, keptSeconds });
    if (claim.isMine) {
      const release = () => releaseIdempotencyKey(room, ownerId, key, generationId);
      try {
        return await encode(await startAnswer(c, room, request, form, generationId, release));
      } catch (error) {
        await release();
        throw error;
      }
    }
    const replay = await replayAnswer(c, room, claim.generationId, ownerId, key);
    if (replay !== undefined) return replay;
  }
}

async function startAnswer(
  c: RouteContext,
  room: Room,
  request: GenerationRequest,
  form: AnswerForm,
  generationId: string,
  release: (() => Promise<void>) | undefined,
): Promise<Answer> {
  const caller = c.get('caller');
  const leaseMs = readLease(c);
  // Whoever can come back is not gone when its connection is.
  const isBackground = form.isBackground === true;
  const isDetached = isBackground || release !== undefined || (leaseMs !== undefined && form.isStream);
  const gone = new AbortController();
  const signal = isDetached ? gone.signal : AbortSignal.any([gone.signal, c.req.raw.signal]);
  const { generation, events } = await runRequest(room, { caller, generationId }, request, signal);
  let tokenLog: TokenLog;
  let begun: AsyncIterableIterator<GenerationEvent>;
  try {
    tokenLog = await room.logs.open(
      {
        id: generationId,
        ownerId: caller.ownerId,
        runnerId: room.runner.id,
        form: form.isStream || isBackground ? 'stream' : 'whole',
        isKept: form.isStored && (isBackground || isKept(room, isDetached)),
        batchMs: room.config.tokenLog.batchMs,
        retentionSeconds: room.config.tokenLog.retentionSeconds,
        completionTokens: () => generation.completionTokens,
        onWriteFailed: (error) =>
          room.log.write('error', 'token-log-failed', { generationId, error: error instanceof Error ? error.name : 'unknown' }),
      },
      (reason) => gone.abort(reason),
      isDetached ? leaseMs : undefined,
    );
  } catch (error) {
    gone.abort();
    await events.next().catch(() => undefined); // begins it, so that it ends: what was held goes back
    throw error;
  }
  try {
    begun = await begin(events, isBackground ? Promise.resolve() : form.isStream ? generation.waiting : undefined);
  } catch (error) {
    await tokenLog.end();
    throw error;
  }
  // A failure is not kept under its key: the same request may be tried again.
  if (release !== undefined)
    void generation.whenSettled.then((phase) => (phase === 'failed' || phase === 'cancelled' ? release() : undefined));
  const headers = { [GENERATION_HEADER]: generationId, ...generation.rateLimits.headers };

  /** The chunks as they are kept, and as they are sent. */
  const recordChunks = (chunks: AsyncIterable<unknown>, framing: EventFraming) => {
    const isLeft = () => gone.signal.aborted && gone.signal.reason instanceof DOMException;
    return record(frameEvents(chunks, { requestId: request.requestId, log: room.log, framing, isLeft }), tokenLog);
  };

  return {
    generationId,
    events: begun,
    background(body, chunks, framing) {
      void drain(recordChunks(chunks, framing));
      return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json', ...headers } });
    },
    async json(body) {
      const text = JSON.stringify(body);
      tokenLog.append(text);
      await tokenLog.end();
      return new Response(text, { headers: { 'content-type': 'application/json', ...headers } });
    },
    stream(chunks, framing = DATA_EVENTS) {
      const recorded = recordChunks(chunks, framing);
      const keepAlive = {
        afterMs: leaseMs === undefined ? room.config.keepAliveMs : Math.min(room.config.keepAliveMs, leaseMs / 3),
        frame: () => {
          if (room.config.seesDisconnects) void room.logs.acknowledge(generationId);
          return c.req.header(STATUS_HEADER) === 'events' ? encodeStatus(generation) : COMMENT;
        },
      };
      if (!isDetached) return eventStreamResponse(recorded, { onLeave: () => gone.abort(), keepAlive, headers });
      void drain(recorded);
      const left = new AbortController();
      return eventStreamResponse(attend(tokenLog, room, left.signal), { onLeave: () => left.abort(), keepAlive, headers });
    },
  };
}

function isKept(room: Room, isDetached: boolean): boolean {
  return room.config.tokenLog.keep === 'always' || (room.config.tokenLog.keep === 'asked' && isDetached);
}

/** Numbers the frames and writes them down. */
async function* record(frames: AsyncIterable<string>, tokenLog: TokenLog): AsyncGenerator<LoggedEvent> {
  try {
    for await (const frame of frames) yield tokenLog.append(frame);
  } finally {
    await tokenLog.end();
  }
}

/** Where the socket's end is seen, a reader that reads renews its lease by reading. */
async function* attend(tokenLog: TokenLog, room: Room, signal: AbortSignal): AsyncGenerator<LoggedEvent> {
  for await (const event of tokenLog.follow(0, signal)) {
    if (room.config.seesDisconnects) void room.logs.acknowledge(tokenLog.options.id);
    yield event;
  }
}

/** The answer is made whether somebody reads it or not. */
async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

function encodeStatus(generation: Generation): string {
  const { phase, position, etaSeconds } = generation.status();
  const status = { state: phase, ...(position > 0 ? { position } : {}), eta_seconds: etaSeconds ?? null };
  return `event: penstock.status\ndata: ${JSON.stringify(status)}\n\n`;
}

/** The same request has the same answer, as far as the model keeps its word. */
function isDeterministic({ sampling }: GenerationRequest): boolean {
  return sampling.temperature === 0 || sampling.seed !== undefined;
}

function readIdempotencyKey(c: RouteContext): string | undefined {
  const key = c.req.header(IDEMPOTENCY_HEADER);
  if (key === undefined || /^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new InvalidRequestError('The header Idempotency-Key must be 1 to 255 visible ASCII characters.');
}

function readLease(c: RouteContext): number | undefined {
  const text = c.req.header(LEASE_HEADER);
  if (text === undefined) return undefined;
  const seconds = Number(text);
  if (Number.isFinite(seconds) && seconds >= 1 && seconds <= 600) return seconds * 1000;
  throw new InvalidRequestError(`The header ${LEASE_HEADER} must be 1 to 600 seconds.`);
}
