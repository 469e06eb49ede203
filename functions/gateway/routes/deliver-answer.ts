/**
 * From an admitted request to the response, for every path that generates: names the generation, writes its events down, and decides what
 * happens when the client leaves. A plain client that leaves takes the endpoint's work with it. One that asked for a lease
 * (`x-penstock-lease: SECONDS`) may come back within it; one that sent an `Idempotency-Key` finds its answer under that key.
 */
import { setImmediate } from 'node:timers/promises';
import { HandOverError, TakenOverError } from '../errors.ts';
import type { EndUserTrace } from '../generation/end-users.ts';
import type { Generation } from '../generation/generation.ts';
import { handOver } from '../generation/hand-over.ts';
import { claimIdempotencyKey, digestOf, releaseIdempotencyKey } from '../generation/idempotency.ts';
import type { Room } from '../generation/room.ts';
import { type KeptContinuation, keptContinuation, type RunningLog } from '../generation/running-log.ts';
import type { LoggedEvent } from '../generation/token-log.ts';
import type { Caller } from '../keys/caller.ts';
import { RESPONSE_KEPT_SECONDS } from '../openai/responses-store.ts';
import { begin } from '../pipeline/begin.ts';
import type { GenerationEvent, GenerationRequest } from '../pipeline/generation-request.ts';
import type { RunningGeneration } from '../pipeline/run-generation.ts';
import { runRequest } from '../pipeline/run-request.ts';
import type { WriterKind } from './answer-writer.ts';
import { readIdempotencyKey, readLease, readSession, wantsStatusEvents } from './delivery-headers.ts';
import { COMMENT, eventStreamResponse, frameEvents } from './event-stream.ts';
import { encodeKeptPlan } from './kept-plan.ts';
import { followAnswer, replayAnswer } from './replay-answer.ts';
import { GENERATION_HEADER, type RouteContext } from './route-context.ts';

const IDEMPOTENCY_SECONDS = 24 * 3600;

export interface AnswerForm<State> {
  readonly isStream: boolean;
  /** False keeps nothing of the answer anywhere. */
  readonly isStored: boolean;
  /** The answer is made whether somebody waits for it or not, and its events are kept. */
  readonly isBackground?: boolean;
  /** For whom it is made, when the caller says so, and where else something of it is kept. */
  readonly endUser?: EndUserTrace;
  /** What the caller calls the session that it belongs to. */
  readonly session?: string;
  readonly writer: { readonly kind: WriterKind<State>; readonly state: State };
}

/** An answer that has begun. Exactly one of its methods is called. */
export interface Answer {
  readonly generationId: string;
  /** Answers at once; the events are made and kept meanwhile, here or by whoever takes it from the queue. */
  background(body: object): Promise<Response>;
  json(): Promise<Response>;
  stream(): Response;
}

/** @param encode gives the response by one of the answer's methods. */
export async function deliverAnswer<State>(
  c: RouteContext,
  room: Room,
  parsed: GenerationRequest,
  form: AnswerForm<State>,
  encode: (answer: Answer) => Promise<Response>,
): Promise<Response> {
  const request = { ...parsed, ...readSession(c, form.session) };
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
    const claim = await claimIdempotencyKey(room, { ownerId, key, digest, generationId, runnerId: room.runner.id, keptSeconds });
    if (claim.isMine) {
      const leave = room.runner.enter(); // seen at work until it has begun
      try {
        return await encode(await startAnswer(c, room, request, form, generationId, key));
      } catch (error) {
        if (error instanceof TakenOverError) continue; // its answer is another process's now
        await releaseIdempotencyKey(room, ownerId, key, generationId);
        throw error;
      } finally {
        leave();
      }
    }
    const wants = form.isBackground === true && !form.isStream ? 'start' : 'answer';
    const replay = await replayAnswer(c, room, claim.generationId, ownerId, key, wants);
    if (replay !== undefined) return replay;
  }
}

async function startAnswer<State>(
  c: RouteContext,
  room: Room,
  request: GenerationRequest,
  form: AnswerForm<State>,
  generationId: string,
  idempotencyKey: string | undefined,
): Promise<Answer> {
  const caller = c.get('caller');
  const isBackground = form.isBackground === true;
  const jobs = isBackground && !form.isStream ? room.jobs : undefined;
  const leaseMs = jobs === undefined ? readLease(c) : undefined;
  // Whoever can come back is not gone when its connection is.
  const isDetached = isBackground || idempotencyKey !== undefined || (leaseMs !== undefined && form.isStream);
  const isLogKept = form.isStored && (isBackground || isKept(room, isDetached));
  const gone = new AbortController();
  const signal = isDetached ? gone.signal : AbortSignal.any([gone.signal, c.req.raw.signal]);
  const admission = { caller, generationId, mayBeContinued: isLogKept && isDetached, isHandedOver: jobs !== undefined };
  const running = await runRequest(room, admission, request, signal);
  const { generation, events } = running;
  const start = () => begin(events, isBackground ? Promise.resolve() : form.isStream ? generation.waiting : undefined);
  let beginning: Promise<AsyncIterableIterator<GenerationEvent>> | undefined;
  if (!isDetached) {
    // Nobody goes on with an answer that ends with its connection, so its endpoint is at work while its log is opened.
    beginning = start();
    beginning.catch(() => undefined); // met below
    await setImmediate();
  }
  let tokenLog: RunningLog;
  let begun: AsyncIterableIterator<GenerationEvent>;
  const giveBack = async () => {
    gone.abort();
    await events.next().catch(() => undefined); // begins it, so that it ends: what was held goes back
  };
  try {
    const continuation = keepContinuation(running, form.writer, isDetached ? leaseMs : undefined, idempotencyKey, gone);
    if (jobs !== undefined && continuation === undefined) throw new HandOverError();
    await noteEndUser(room, caller, form.endUser, isLogKept, generationId);
    tokenLog = await room.logs.open(
      {
        id: generationId,
        ownerId: caller.ownerId,
        runnerId: room.runner.id,
        form: form.isStream || isBackground ? 'stream' : 'whole',
        isKept: isLogKept,
        ...room.config.tokenLog,
        completionTokens: () => generation.completionTokens,
        onWriteFailed: (error) =>
          room.log.write('error', 'token-log-failed', { generationId, error: error instanceof Error ? error.name : 'unknown' }),
        continuation,
      },
      (reason) => gone.abort(reason),
      isDetached ? leaseMs : undefined,
    );
  } catch (error) {
    await giveBack();
    throw error;
  }
  try {
    begun = jobs === undefined ? await (beginning ?? start()) : events;
  } catch (error) {
    await tokenLog.end();
    throw error;
  }
  // A failure is not kept under its key: the same request may be tried again.
  if (idempotencyKey !== undefined) {
    const release = () => releaseIdempotencyKey(room, caller.ownerId, idempotencyKey, generationId);
    void generation.whenSettled.then((phase) => (phase === 'failed' || phase === 'cancelled' ? release() : undefined));
  }
  const headers = { [GENERATION_HEADER]: generationId, ...generation.rateLimits.headers };
  const writer = form.writer.kind.create(room, form.writer.state, { request, generationId });
  const { framing } = writer;

  /** The events as they are kept, and as they are sent. */
  const recordChunks = () => {
    const isLeft = () => gone.signal.aborted && gone.signal.reason instanceof DOMException;
    return record(frameEvents(writer.chunks(begun), { requestId: request.requestId, log: room.log, framing, isLeft }), tokenLog);
  };

  return {
    generationId,
    async background(body) {
      const start = JSON.stringify(body);
      if (jobs === undefined) void drain(recordChunks());
      else {
        await handOver(room, jobs, generation, tokenLog, start).catch(async (error) => {
          await giveBack();
          await room.logs.forget(generationId);
          throw error;
        });
      }
      return new Response(start, { headers: { 'content-type': 'application/json', ...headers } });
    },
    async json() {
      const text = JSON.stringify(await writer.whole(begun));
      tokenLog.append(text);
      await tokenLog.end();
      return new Response(text, { headers: { 'content-type': 'application/json', ...headers } });
    },
    stream() {
      const recorded = recordChunks();
      const keepAlive = {
        afterMs: leaseMs === undefined ? room.config.keepAliveMs : Math.min(room.config.keepAliveMs, leaseMs / 3),
        frame: () => {
          if (room.config.seesDisconnects) void room.logs.acknowledge(generationId);
          return wantsStatusEvents(c) ? encodeStatus(generation) : COMMENT;
        },
      };
      if (!isDetached) return eventStreamResponse(recorded, { onLeave: () => gone.abort(), keepAlive, headers });
      void drain(recorded);
      // Where the socket's end is seen, a reader that reads renews its lease by reading.
      const onRead = () => {
        if (room.config.seesDisconnects) void room.logs.acknowledge(generationId);
      };
      return followAnswer(c, room, generationId, 0, { framing, keepAlive, headers, onRead });
    },
  };
}

/** For the process that goes on when this one dies. */
function keepContinuation<State>(
  { generation, continuation }: RunningGeneration,
  { kind, state }: AnswerForm<State>['writer'],
  leaseMs: number | undefined,
  idempotencyKey: string | undefined,
  gone: AbortController,
): KeptContinuation | undefined {
  if (continuation === undefined) return undefined;
  const plan = encodeKeptPlan({ writer: { name: kind.name, state }, plan: continuation.plan, idempotencyKey });
  return plan === undefined
    ? undefined
    : keptContinuation(generation, gone, {
        ...{ plan, leaseMs },
        writesFirst: continuation.promise !== 'identical',
        onlyBegins: continuation.onlyBegins,
      });
}

/** Nothing of an answer is written before it can be found by its user. */
async function noteEndUser(
  room: Room,
  { organizationId, ownerId }: Caller,
  trace: EndUserTrace | undefined,
  isLogKept: boolean,
  generationId: string,
): Promise<void> {
  if (trace === undefined || trace.users.length === 0) return;
  if (!isLogKept && trace.responseId === undefined && trace.conversationId === undefined) return;
  const keptSeconds = Math.max(room.config.tokenLog.retentionSeconds, trace.responseId === undefined ? 0 : RESPONSE_KEPT_SECONDS);
  await room.endUsers.note(organizationId, trace, { generationId, ownerId }, keptSeconds);
}

function isKept(room: Room, isDetached: boolean): boolean {
  return room.config.tokenLog.keep === 'always' || (room.config.tokenLog.keep === 'asked' && isDetached);
}

/** Numbers the frames and writes them down. */
async function* record(frames: AsyncIterable<string>, tokenLog: RunningLog): AsyncGenerator<LoggedEvent> {
  try {
    for await (const frame of frames) yield tokenLog.append(frame);
  } finally {
    await tokenLog.end();
  }
}

/** The answer is made whether somebody reads it or not. */
async function drain(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events);
}

function encodeStatus(generation: Generation): string {
  const { phase, position, etaSeconds, runs } = generation.status();
  const status = {
    state: phase,
    ...(position > 0 ? { position } : {}),
    eta_seconds: etaSeconds ?? null,
    ...(runs?.copies === undefined ? {} : { copies: runs.copies }),
    ...(runs?.changedAt === undefined ? {} : { since: Math.floor(runs.changedAt / 1000) }),
  };
  return `event: penstock.status\ndata: ${JSON.stringify(status)}\n\n`;
}

/** The same request has the same answer, as far as the model keeps its word. */
function isDeterministic({ sampling }: GenerationRequest): boolean {
  return sampling.temperature === 0 || sampling.seed !== undefined;
}
