/**
 * The log of an answer that this process makes: read from memory here, written down in batches (`token-log.ts`) when it is to outlive the process.
 * Batches are cut by time, because a write costs money, and each is written only if nobody else went on with the answer meanwhile: then this process
 * was taken for dead, and must not write over what the other one writes.
 */
import { TakenOverError } from '../errors.ts';
import type { Table } from '../services/table.ts';
import type { Clock } from '../services.ts';
import { encodeIds } from './compact-ids.ts';
import type { Generation } from './generation.ts';
import type { GenerationProgress } from './generation-plan.ts';
import { cutBatch, eventKey, fenceOf, headKey, keepPlan, type LoggedEvent, stillOf, writeFrames } from './token-log.ts';

/** What is kept so that another process can go on. */
export interface KeptContinuation {
  /** How the rest is made, as text. */
  readonly plan: string;
  /** Another process would go on with other words: nothing is shown before it is written down. */
  readonly writesFirst: boolean;
  /** How long after the client's last sign of life somebody should go on; `undefined` for always. */
  readonly leaseMs: number | undefined;
  /** Another process can begin it, and not go on with what was begun. */
  readonly onlyBegins?: boolean | undefined;
  progress(): GenerationProgress;
  onTakenOver(): void;
}

/** @param gone stops the answer here when another process has it. */
export function keptContinuation(
  generation: Pick<Generation, 'progress' | 'takenOver'>,
  gone: AbortController,
  how: Pick<KeptContinuation, 'plan' | 'writesFirst' | 'leaseMs' | 'onlyBegins'>,
): KeptContinuation {
  return {
    ...how,
    progress: () => generation.progress,
    onTakenOver: () => {
      generation.takenOver();
      gone.abort(new TakenOverError());
    },
  };
}

/** What another process had written of an answer that goes on here. Its events are made again: the same, or it does not go on. */
export interface WrittenBefore {
  readonly events: readonly LoggedEvent[];
  /** Ids of the first choice that are written down. */
  readonly tokenIds: number;
  readonly takeovers: number;
}

export interface RunningLogOptions {
  readonly id: string;
  readonly ownerId: string;
  readonly runnerId: string;
  readonly form: 'stream' | 'whole';
  /** False keeps everything in memory: nothing of the answer is ever written. */
  readonly isKept: boolean;
  readonly batchMs: number;
  readonly retentionSeconds: number;
  /** Completion tokens so far, for whoever settles when this process dies. */
  completionTokens(): number;
  onWriteFailed(error: unknown): void;
  readonly continuation?: KeptContinuation | undefined;
  readonly before?: WrittenBefore | undefined;
}

/** An event that was made again is not the one that was written down. */
class EventsDifferError extends Error {
  override readonly name = 'EventsDifferError';
}

export class RunningLog {
  readonly options: RunningLogOptions;
  readonly #table: Table;
  readonly #clock: Clock;
  readonly #events: LoggedEvent[];
  #madeAgain = 0;
  #written: number;
  #writtenIds: number;
  readonly #fence: string | undefined;
  #ended = false;
  /** Ended, and whether another process has it is known. */
  #isOver = false;
  #isBroken = false;
  #isTakenOver = false;
  readonly #ending = Promise.withResolvers<void>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #wake = Promise.withResolvers<void>();

  constructor(table: Table, clock: Clock, options: RunningLogOptions) {
    this.#table = table;
    this.#clock = clock;
    this.options = options;
    this.#events = [...(options.before?.events ?? [])];
    this.#written = this.#events.length;
    this.#writtenIds = options.before?.tokenIds ?? 0;
    this.#fence = options.before && fenceOf(options.runnerId, options.before.takeovers);
  }

  get ended(): boolean {
    return this.#ended;
  }

  get whenEnded(): Promise<void> {
    return this.#ending.promise;
  }

  /** From now on others find it. */
  async open(): Promise<void> {
    const { id, ownerId, runnerId, form, isKept, continuation, before } = this.options;
    if (!isKept || before !== undefined) return;
    const now = this.#clock.now();
    const attributes = {
      ...{ ownerId, runnerId, form, startedAt: now, acknowledgedAt: now, ended: false, cancelRequested: false },
      ...(continuation === undefined ? {} : { canGoOn: true, takeovers: 0, leaseMs: continuation.leaseMs ?? null }),
      ...(continuation?.onlyBegins === true ? { onlyBegins: true } : {}),
    };
    const expiresAt = this.#expiresAt();
    const head = this.#table.write({ type: 'put', key: headKey(id), attributes, expiresAt });
    const plan = continuation && keepPlan(this.#table, id, continuation.plan, expiresAt);
    await Promise.all([head, plan]);
  }

  /** @throws {EventsDifferError} */
  append(frame: string): LoggedEvent {
    const written = this.options.before?.events[this.#madeAgain];
    if (written !== undefined) {
      this.#madeAgain += 1;
      if (written.frame !== frame) throw new EventsDifferError();
      return written;
    }
    return this.#add(frame);
  }

  /** The last event of an answer that does not go on, whatever was to be made again. */
  appendFailure(frame: string): void {
    this.#add(frame);
  }

  /** Nothing follows. Everything is written when this resolves. */
  async end(): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    if (this.options.isKept) {
      await this.#flush();
      if (!this.#isTakenOver) await this.#writeEnd().catch(this.options.onWriteFailed);
    }
    this.#isOver = true;
    this.#ending.resolve();
    this.#notify();
  }

  /** Another process makes it: nothing follows here, and nothing is written. */
  leave(): void {
    this.#ended = true;
    this.#isOver = true;
    this.#ending.resolve();
    this.#notify();
  }

  /**
   * The events after this number, those to come included.
   * @throws {TakenOverError} another process goes on: what comes is read from the table.
   */
  async *follow(after: number, signal: AbortSignal): AsyncGenerator<LoggedEvent> {
    let at = after;
    const stop = () => this.#notify();
    signal.addEventListener('abort', stop, { once: true });
    try {
      for (;;) {
        signal.throwIfAborted();
        if (this.#isTakenOver) throw new TakenOverError();
        const event = at < this.#shown ? this.#events[at] : undefined;
        if (event !== undefined) {
          at += 1;
          yield event;
        } else if (this.#isOver && this.#shown >= this.#events.length) return;
        else await this.#wake.promise;
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** A log that cannot be written any more is shown all the same: nobody will go on with it. */
  get #shown(): number {
    return this.options.continuation?.writesFirst === true && !this.#isBroken ? this.#written : this.#events.length;
  }

  #add(frame: string): LoggedEvent {
    const event = { sequence: this.#events.length + 1, frame };
    this.#events.push(event);
    this.#notify();
    const { isKept, batchMs, continuation } = this.options;
    // A first event that waits to be written should not wait longer than that.
    const isAwaited = continuation?.writesFirst === true && this.#written === 0;
    if (isKept) this.#timer ??= setTimeout(() => void this.#flush(), isAwaited ? 0 : batchMs);
    return event;
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(async () => {
      const frames = this.#events.slice(this.#written).map((event) => event.frame);
      for (let left = frames; left.length > 0 && !this.#isBroken; ) {
        const batch = cutBatch(left);
        await this.#write(batch);
        left = left.slice(batch.length);
      }
    });
    // The client that reads now has its answer all the same; a gap in what is written would be worse than its end.
    this.#writing = this.#writing.catch((error: unknown) => {
      this.#isBroken = true;
      this.options.onWriteFailed(error);
    });
    return this.#writing.then(() => this.#notify());
  }

  async #write(frames: readonly string[]): Promise<void> {
    const { id, continuation, before, completionTokens } = this.options;
    const first = this.#written + 1;
    const progress = continuation?.progress();
    const tokenIds = [...(progress?.tokenIds[0] ?? [])]; // those that are there now: more come while this is written
    const now = {
      first,
      completionTokens: completionTokens(),
      ...(progress === undefined
        ? {}
        : {
            tokenIds: encodeIds(tokenIds.slice(this.#writtenIds)),
            attempts: progress.attempts,
            firstTokenAt: progress.firstTokenAt ?? null,
          }),
      ...(this.#fence === undefined ? {} : { fence: this.#fence }),
    };
    const attributes = { ...now, ...(await writeFrames(this.#table, id, frames, this.#expiresAt())) };
    const isAtFence = before !== undefined && first === before.events.length + 1;
    const { written, row } = await this.#table.write({
      type: 'put',
      key: eventKey(id, first),
      attributes,
      expiresAt: this.#expiresAt(),
      if: [isAtFence && this.#fence !== undefined ? { attribute: 'fence', equals: this.#fence } : { row: 'absent' }],
    });
    // With our own fence, or without one as we are, it is our row: a call wrote it whose answer was lost.
    if (!written && row?.attributes['fence'] !== this.#fence) {
      this.#isBroken = true;
      this.#isTakenOver = true;
      continuation?.onTakenOver();
      return;
    }
    this.#written += frames.length;
    this.#writtenIds = tokenIds.length;
  }

  async #writeEnd(): Promise<void> {
    const { id, runnerId } = this.options;
    const { written, row } = await this.#table.write({ type: 'update', key: headKey(id), set: { ended: true }, if: stillOf(runnerId) });
    this.#isTakenOver = !written && row !== undefined && row.attributes['runnerId'] !== runnerId;
  }

  #expiresAt(): number {
    return Math.ceil(this.#clock.now() / 1000) + this.options.retentionSeconds;
  }

  #notify(): void {
    const { resolve } = this.#wake;
    this.#wake = Promise.withResolvers<void>();
    resolve();
  }
}
