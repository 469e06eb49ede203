/** The answers that this process makes right now, and how any process reads one. */
import { GenerationCancelledError, GenerationLostError, GenerationNotFoundError, TakenOverError } from '../errors.ts';
import type { Services } from '../services.ts';
import { isRunnerAlive } from './runner.ts';
import { RunningLog, type RunningLogOptions } from './running-log.ts';
import { isAwaited } from './takeover.ts';
import { acknowledge, deleteLog, endLostLog, type LoggedEvent, type LogHead, readLog, readLogHead, requestCancel } from './token-log.ts';

/** How often another process's log is looked at, and a running one for a cancellation from elsewhere. */
const POLL_MS = 100;
const CONTROL_MS = 1_000;
/** An answer that is kept nowhere can be read again for this long. */
const MEMORY_ONLY_MS = 60_000;

interface LiveLog {
  readonly log: RunningLog;
  readonly cancel: (reason: Error) => void;
  acknowledgedAt: number;
}

export interface LiveLogs {
  /**
   * @param cancel stops the answer. @param leaseMs without an acknowledgement for so long it is stopped; `undefined` for no lease.
   * @param acknowledgedAt when its client last said that it is there; now when not given.
   */
  open(
    options: RunningLogOptions,
    cancel: (reason: Error) => void,
    leaseMs: number | undefined,
    acknowledgedAt?: number,
  ): Promise<RunningLog>;
  /** This process makes it. */
  isMine(id: string): boolean;
  /** @param goOn goes on with an answer whose process died; true when it does, here, or when another one does. */
  goOnWith(goOn: GoOn): void;
  /** Some process makes it: if its own has died, from now on this one. */
  isMade(id: string): Promise<boolean>;
  /** @throws {GenerationNotFoundError} of another owner, or not kept. */
  head(id: string, ownerId: string): Promise<Pick<LogHead, 'form' | 'ended' | 'isLost'>>;
  /** The events after a number, from this process or another. @param lostFrame what ends the answer of a process that died. */
  follow(id: string, after: number, lostFrame: (error: Error) => string, signal: AbortSignal): AsyncGenerator<LoggedEvent>;
  /** @param reason what it ends with, when this process makes it. */
  cancel(id: string, reason?: Error): Promise<void>;
  acknowledge(id: string): Promise<void>;
  /** Forgets an answer that has ended. */
  forget(id: string): Promise<void>;
}

/** @param isFromQueue also when it waits in the queue and nobody has begun it. */
export type GoOn = (id: string, isFromQueue?: boolean) => Promise<boolean>;

type LogServices = Pick<Services, 'table' | 'clock' | 'log'> & { readonly retentionSeconds: number };

/** @param runnerLeaseMs how long a process may be silent until it counts as dead. */
export function createLiveLogs(services: LogServices, runnerLeaseMs: number): LiveLogs {
  const { table, clock } = services;
  const live = new Map<string, LiveLog>();
  let goOn: GoOn = async () => false;

  const watch = (id: string, entry: LiveLog, leaseMs: number | undefined) => {
    const timer = setInterval(
      async () => {
        if (entry.log.ended) return clearInterval(timer);
        try {
          const head = entry.log.options.isKept ? await readLogHead(table, id) : undefined;
          entry.acknowledgedAt = Math.max(entry.acknowledgedAt, head?.acknowledgedAt ?? 0);
          const hasLapsed = leaseMs !== undefined && clock.now() - entry.acknowledgedAt > leaseMs;
          // Without its head it was deleted meanwhile: it ends, and what it wrote since goes too.
          const isDeleted = entry.log.options.isKept && head === undefined;
          if (head?.cancelRequested === true || hasLapsed || isDeleted) entry.cancel(new GenerationCancelledError());
          if (isDeleted) void entry.log.whenEnded.then(() => deleteLog(table, id)).catch(() => undefined);
        } catch (error) {
          services.log.write('warn', 'generation-control-failed', {
            generationId: id,
            error: error instanceof Error ? error.name : 'unknown',
          });
        }
      },
      Math.min(CONTROL_MS, (leaseMs ?? CONTROL_MS) / 4),
    );
    timer.unref();
  };

  const isDead = async (head: LogHead) => !head.ended && !(await isRunnerAlive(table, clock, head.runnerId, head.startedAt, runnerLeaseMs));

  /** If its own process has died, this one tries to be the one that goes on. */
  const isGoingOn = async (id: string, head: LogHead): Promise<boolean> => {
    if (head.isLost === true) return false;
    if (head.isQueued === true || !(await isDead(head)) || (await goOn(id))) return true;
    const now = await readLogHead(table, id);
    if (now === undefined || now.isLost === true) return false;
    return !(await isDead(now)) || (now.queueGraceMs !== undefined && (await isAwaited({ table, clock }, now)));
  };

  /** From the table, until it has ended (true) or this process makes it (false). */
  async function* followWritten(
    id: string,
    place: { after: number },
    lostFrame: (error: Error) => string,
    signal: AbortSignal,
  ): AsyncGenerator<LoggedEvent, boolean> {
    for (;;) {
      signal.throwIfAborted();
      const head = await readLogHead(table, id);
      if (head === undefined) throw new GenerationNotFoundError();
      for (const event of await readLog(table, id, place.after)) {
        place.after = event.sequence;
        yield event;
      }
      if (head.ended) return true; // asked for before its events were read: all of them are there
      if (live.has(id)) return false;
      if (await isGoingOn(id, head)) {
        if (!live.has(id)) await sleep(POLL_MS, signal);
      } else await endLost(id, head.runnerId, place.after, lostFrame);
    }
  }

  async function endLost(id: string, runnerId: string, after: number, lostFrame: (error: Error) => string): Promise<void> {
    const expiresAt = Math.ceil(clock.now() / 1000) + services.retentionSeconds;
    await endLostLog(table, id, runnerId, { frame: lostFrame(new GenerationLostError()), after, expiresAt });
  }

  return {
    async open(options, cancel, leaseMs, acknowledgedAt = clock.now()) {
      const log = new RunningLog(table, clock, options);
      const entry = { log, cancel, acknowledgedAt };
      live.set(options.id, entry);
      await log.open();
      if (options.isKept || leaseMs !== undefined) watch(options.id, entry, leaseMs);
      const forget = () => live.delete(options.id);
      void log.whenEnded.then(() => (options.isKept ? forget() : setTimeout(forget, MEMORY_ONLY_MS).unref()));
      return log;
    },

    isMine: (id) => live.has(id),

    goOnWith(take) {
      goOn = take;
    },

    async isMade(id) {
      if (live.has(id)) return true;
      const head = await readLogHead(table, id);
      if (head === undefined || head.ended || head.isLost === true) return false;
      return await isGoingOn(id, head);
    },

    async head(id, ownerId) {
      const mine = live.get(id);
      if (mine !== undefined && mine.log.options.ownerId === ownerId) return { form: mine.log.options.form, ended: mine.log.ended };
      const head = await readLogHead(table, id);
      if (head === undefined || head.ownerId !== ownerId) throw new GenerationNotFoundError();
      return { form: head.form, ended: head.ended, isLost: !(await isGoingOn(id, head)) };
    },

    async *follow(id, after, lostFrame, signal) {
      const place = { after };
      for (;;) {
        const mine = live.get(id);
        if (mine === undefined) {
          if (yield* followWritten(id, place, lostFrame, signal)) return;
          continue;
        }
        try {
          for await (const event of mine.log.follow(place.after, signal)) {
            place.after = event.sequence;
            yield event;
          }
          return;
        } catch (error) {
          if (!(error instanceof TakenOverError)) throw error;
          live.delete(id);
        }
      }
    },

    async cancel(id, reason = new GenerationCancelledError()) {
      // What nobody has begun is begun here, to be ended: its tokens are given back, and whoever asked is told.
      if (!live.has(id) && (await readLogHead(table, id))?.isQueued === true) await goOn(id, true);
      const mine = live.get(id);
      if (mine !== undefined) mine.cancel(reason);
      else await requestCancel(table, id);
    },

    async forget(id) {
      live.delete(id);
      await deleteLog(table, id);
    },

    async acknowledge(id) {
      const mine = live.get(id);
      if (mine !== undefined) mine.acknowledgedAt = clock.now();
      else await acknowledge(table, id, clock.now());
    },
  };
}

function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done, { once: true });
  });
}
