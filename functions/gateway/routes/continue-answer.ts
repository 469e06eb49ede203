/**
 * Goes on with an answer whose process died: its events are made again from the ids that were written down, each the same as it was, and then the
 * endpoint makes the rest. A reader that comes with the number of its last event sees one answer. What cannot be made again ends in an error.
 */
import { GenerationLostError } from '../errors.ts';
import { promiseOf } from '../generation/continuation.ts';
import { releaseIdempotencyKey } from '../generation/idempotency.ts';
import type { GoOn } from '../generation/live-logs.ts';
import type { Room } from '../generation/room.ts';
import { keptContinuation, type RunningLog } from '../generation/running-log.ts';
import { endComplete, findLost, type LostGeneration, takeOver } from '../generation/takeover.ts';
import { encodeError } from '../openai/error-body.ts';
import { continueGeneration, findHeld, type HeldBefore } from '../pipeline/continue-generation.ts';
import { targetsOf } from '../pipeline/hold-tokens.ts';
import { readStoredPlan } from '../pipeline/stored-plan.ts';
import { writersOf } from './answer-generation.ts';
import type { AnswerWriter, WriterKind } from './answer-writer.ts';
import { chatCompletions } from './chat-completions.ts';
import { completions } from './completions.ts';
import { frameEvents } from './event-stream.ts';
import { decodeKeptPlan, type KeptPlan } from './kept-plan.ts';
import { responseWriters } from './responses.ts';

/** States were written by the kind of the same name. */
const WRITERS: ReadonlyMap<string, WriterKind<never>> = new Map(
  [writersOf(chatCompletions), writersOf(completions), responseWriters].map((kind): [string, WriterKind<never>] => [kind.name, kind]),
);

/** @returns what goes on with an answer in this process; true when it does, or when somebody else was faster: then `room.logs` follows it. */
export function createContinuer(room: Room): GoOn {
  return async function goOn(id, isFromQueue = false) {
    if (room.logs.isMine(id)) return true;
    const lost = await findLost(room, id, room.config.runnerLeaseMs, isFromQueue);
    if (lost === undefined) return false;
    const kept = decodeKeptPlan(lost.plan);
    const { request } = readStoredPlan(kept.plan);
    const writer = WRITERS.get(kept.writer.name)?.create(room, kept.writer.state as never, { request, generationId: id });
    const held = await findHeld(room, id, kept.plan);
    if (writer === undefined || held === undefined) return false;
    if (isComplete(lost, writer)) {
      await endComplete(room, lost);
      return false;
    }
    // Seen at work before anybody can ask who has it now.
    const leave = room.runner.enter();
    try {
      const expiresAt = Math.ceil(room.clock.now() / 1000) + room.config.tokenLog.retentionSeconds;
      if (await takeOver(room, lost, room.runner.id, expiresAt)) await begin(room, lost, kept, writer, held);
      return true;
    } finally {
      leave();
    }
  };
}

async function begin(room: Room, lost: LostGeneration, kept: KeptPlan, writer: AnswerWriter, held: HeldBefore): Promise<void> {
  const { id, head, events, progress, plan } = lost;
  const { plan: stored, idempotencyKey } = kept;
  const gone = new AbortController();
  const running = continueGeneration(room, id, stored, progress, held, gone.signal);
  const { generation } = running;
  const model = room.models.get(stored.request.modelId);
  const promise = model === undefined ? 'none' : promiseOf(targetsOf(model), readStoredPlan(stored).request.sampling);
  const leaseMs = head.leaseMs ?? undefined;
  const emitted = progress.tokenIds[0]?.length ?? 0;
  const isBegun = head.isQueued !== true;
  room.log.write(isBegun ? 'warn' : 'info', isBegun ? 'generation-continued' : 'generation-begun', {
    generationId: id,
    promise,
    events: events.length,
    emitted,
    from: head.runnerId,
  });
  const tokenLog = await room.logs.open(
    {
      id,
      ownerId: head.ownerId,
      runnerId: room.runner.id,
      form: head.form,
      isKept: true,
      ...room.config.tokenLog,
      completionTokens: () => generation.completionTokens,
      onWriteFailed: (error) =>
        room.log.write('error', 'token-log-failed', { generationId: id, error: error instanceof Error ? error.name : 'unknown' }),
      continuation: keptContinuation(generation, gone, { plan, leaseMs, writesFirst: promise !== 'identical' }),
      before: { events, tokenIds: emitted, takeovers: (head.takeovers ?? 0) + 1 },
    },
    (reason) => gone.abort(reason),
    leaseMs,
    head.acknowledgedAt,
  );
  if (idempotencyKey !== undefined) {
    const release = () => releaseIdempotencyKey(room, head.ownerId, idempotencyKey, id);
    void generation.whenSettled.then((phase) => (phase === 'failed' || phase === 'cancelled' ? release() : undefined));
  }
  const { requestId } = stored.request;
  const { framing } = writer;
  const frames =
    head.form === 'whole'
      ? wholeFrame(writer, running.events)
      : frameEvents(writer.chunks(running.events), { requestId, log: room.log, framing, isLeft: () => false });
  void finish(frames, tokenLog, (error) => {
    room.log.write('error', 'generation-lost', { generationId: id, error: error instanceof Error ? error.name : 'unknown' });
    if (head.form === 'stream') tokenLog.appendFailure(framing.frame(encodeError(new GenerationLostError(), requestId)));
  });
}

async function* wholeFrame(writer: AnswerWriter, events: Parameters<AnswerWriter['whole']>[0]): AsyncGenerator<string> {
  yield JSON.stringify(await writer.whole(events));
}

async function finish(frames: AsyncIterable<string>, tokenLog: RunningLog, onFailure: (error: unknown) => void): Promise<void> {
  try {
    for await (const frame of frames) tokenLog.append(frame);
  } catch (error) {
    onFailure(error);
  } finally {
    await tokenLog.end();
  }
}

function isComplete({ head, events }: LostGeneration, { framing }: AnswerWriter): boolean {
  const last = events.at(-1);
  return last !== undefined && (head.form === 'whole' || framing.isLast(last.frame));
}
