import { GenerationNotFoundError } from '../gateway/errors.ts';
import type { GoOn } from '../gateway/generation/live-logs.ts';
import type { Room } from '../gateway/generation/room.ts';
import { readLogHead } from '../gateway/generation/token-log.ts';
import { createContinuer } from '../gateway/routes/continue-answer.ts';
import { createOfflineAnswers } from './offline-answers.ts';

/** The answer waits in the queue, and this process cannot begin it. */
export class JobWaitsError extends Error {
  override readonly name = 'JobWaitsError';
}

/**
 * What does a job of the queue: makes the answer of a generation that a gateway has admitted. It is made once, however often its name comes: one
 * conditional write decides who has it (`generation/takeover.ts`). When the name comes again because the process that made it has died, this one goes
 * on from what was written down; while that one lives, this one waits with it.
 * @throws {JobWaitsError} by the job, when its name has to come again.
 */
export function createGenerationJob(room: Room): (generationId: string, signal: AbortSignal) => Promise<void> {
  const goOn = createContinuer(room);
  room.logs.goOnWith((id) => goOn(id, true));
  const { offline, jobs } = room;
  const answers = offline === undefined || jobs === undefined ? undefined : createOfflineAnswers(room, offline, jobs);
  return async function runGenerationJob(id, signal) {
    const begin = answers === undefined ? 'ordinary' : await answers.look(id);
    if (begin === 'later') return;
    await makeAnswer(id, typeof begin === 'function' ? begin : goOn, signal);
    if (begin === 'ordinary') return;
    await answers?.tidy(id).catch((error: unknown) => {
      // The bucket's lifecycle will. The answer is made: a message that comes again would change nothing.
      room.log.write('warn', 'offline-answer-kept', { generationId: id, error: error instanceof Error ? error.name : 'unknown' });
    });
  };

  async function makeAnswer(id: string, begin: GoOn, signal: AbortSignal): Promise<void> {
    if (!(await begin(id, true)) && (await readLogHead(room.table, id))?.isQueued === true) throw new JobWaitsError();
    try {
      for await (const _ of room.logs.follow(id, 0, () => '', signal));
    } catch (error) {
      if (error instanceof GenerationNotFoundError) return; // deleted, or older than logs are kept
      if (!signal.aborted || !room.logs.isMine(id)) throw error;
      await room.logs.cancel(id, signal.reason);
      for await (const _ of room.logs.follow(id, 0, () => '', AbortSignal.timeout(END_MS)));
    }
  }
}

/** How long an answer may take to end when it is told to. */
const END_MS = 5_000;
