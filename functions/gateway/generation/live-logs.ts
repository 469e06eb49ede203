/** The answers that this process makes right now, and how any process reads one. */
import { GenerationCancelledError, GenerationLostError, GenerationNotFoundError } from '../errors.ts';
import type { Services } from '../services.ts';
import { isRunnerAlive } from './runner.ts';
import {
  acknowledge,
  deleteLog,
  endLostLog,
  type LoggedEvent,
  type LogHead,
  readLog,
  readLogHead,
  requestCancel,
  TokenLog,
  type TokenLogOptions,
} from './token-log.ts';

/** How often another process's log is looked at, and a running one for a cancellation from elsewhere. */
const POLL_MS = 100;
const CONTROL_MS = 1_000;
/** An answer that is kept nowhere can be read again for this long. */
const MEMORY_ONLY_MS = 60_000;

interface LiveLog {
  readonly log: TokenLog;
  readonly cancel: (reason: Error) => void;
  acknowledgedAt: number;
}

export interface LiveLogs {
  /** @param cancel stops the answer. @param leaseMs without an acknowledgement for so long it is stopped; `undefined` for no lease. */
  open(options: TokenLogOptions, cancel: (reason: Error) => void, leaseMs: number | undefined): Promise<TokenLog>;
  /** @throws {GenerationNotFoundError} of another owner, or not kept. */
  head(id: string, ownerId: string): Promise<Pick<LogHead, 'form' | 'ended' | 'isLost'>>;
  /** The events after a number, from this process or another. @param lostFrame what ends the answer of a process that died. */
  follow(id: string, after: number, lostFrame: (error: Error) => string, signal: AbortSignal): AsyncGenerator<LoggedEvent>;
  cancel(id: string): Promise<void>;
  acknowledge(id: string): Promise<void>;
  /** Forgets an answer that has ended. */
  forget(id: string): Promise<void>;
}

/** @param runnerLeaseMs how long a process may be silent until it counts as dead. */
export function createLiveLogs(services: Pick<Services, 'table' | 'clock' | 'log'>, runnerLeaseMs: number): LiveLogs {
  const { table, clock } = services;
  const live = new Map<string, LiveLog>();

  const watch = (id: string, entry: LiveLog, leaseMs: number | undefined) => {
    const timer = setInterval(
      async () => {
        if (entry.log.ended) return clearInterval(timer);
        try {
          const head = entry.log.options.isKept ? await readLogHead(table, id) : undefined;
          entry.acknowledgedAt = Math.max(entry.acknowledgedAt, head?.acknowledgedAt ?? 0);
          const hasLapsed = leaseMs !== undefined && clock.now() - entry.acknowledgedAt > leaseMs;
          if (head?.cancelRequested === true || hasLapsed) entry.cancel(new GenerationCancelledError());
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

  return {
    async open(options, cancel, leaseMs) {
      const log = new TokenLog(table, clock, options);
      const entry = { log, cancel, acknowledgedAt: clock.now() };
      live.set(options.id, entry);
      await log.open();
      if (options.isKept || leaseMs !== undefined) watch(options.id, entry, leaseMs);
      const forget = () => live.delete(options.id);
      void log.whenEnded.then(() => (options.isKept ? forget() : setTimeout(forget, MEMORY_ONLY_MS).unref()));
      return log;
    },

    async head(id, ownerId) {
      const mine = live.get(id);
      if (mine !== undefined && mine.log.options.ownerId === ownerId) return { form: mine.log.options.form, ended: mine.log.ended };
      const head = await readLogHead(table, id);
      if (head === undefined || head.ownerId !== ownerId) throw new GenerationNotFoundError();
      const isLost =
        head.isLost === true || (!head.ended && !(await isRunnerAlive(table, clock, head.runnerId, head.startedAt, runnerLeaseMs)));
      return { form: head.form, ended: head.ended, isLost };
    },

    async *follow(id, after, lostFrame, signal) {
      const mine = live.get(id);
      if (mine !== undefined) {
        yield* mine.log.follow(after, signal);
        return;
      }
      for (let at = after; ; ) {
        signal.throwIfAborted();
        const head = await readLogHead(table, id);
        if (head === undefined) throw new GenerationNotFoundError();
        for (const event of await readLog(table, id, at)) {
          at = event.sequence;
          yield event;
        }
        if (head.ended) return; // asked for before its events were read: all of them are there
        if (!(await isRunnerAlive(table, clock, head.runnerId, head.startedAt, runnerLeaseMs))) await endLost(id, at, lostFrame);
        else await sleep(POLL_MS, signal);
      }
    },

    async cancel(id) {
      const mine = live.get(id);
      if (mine !== undefined) mine.cancel(new GenerationCancelledError());
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

  async function endLost(id: string, at: number, lostFrame: (error: Error) => string): Promise<void> {
    const written = await readLog(table, id, at);
    await endLostLog(table, id, lostFrame(new GenerationLostError()), written.at(-1)?.sequence ?? at);
  }
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
