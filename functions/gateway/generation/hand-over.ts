import type { JobQueue } from '../services.ts';
import type { Generation } from './generation.ts';
import type { Room } from './room.ts';
import type { RunningLog } from './running-log.ts';
import { keepStart, markQueued } from './token-log.ts';

/** A message comes again when the function that took it has certainly ended: `infra/stacks/jobs-stack.ts` says when. With some time to spare. */
export const QUEUE_GRACE_MS = 20 * 60_000;

/**
 * From now on the answer, of which nothing is made yet, is whoever's takes its name from the queue. Its tokens stay set aside.
 * @param start what is answered meanwhile.
 * @throws {JobQueueUnavailableError} nobody will make it: the caller ends it.
 */
export async function handOver(room: Room, jobs: JobQueue, generation: Generation, tokenLog: RunningLog, start: string): Promise<void> {
  tokenLog.leave();
  await keepStart(room.table, generation.id, start, Math.ceil(room.clock.now() / 1000) + room.config.tokenLog.retentionSeconds);
  await markQueued(room.table, generation.id, room.runner.id, QUEUE_GRACE_MS); // first: a message may arrive at once
  await jobs.send(generation.id);
  generation.handedOver();
}
