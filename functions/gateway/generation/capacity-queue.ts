/**
 * Where generations wait while a model has no copy running, or all copies are full. Places are in order of priority, then of arrival. The first in
 * line tries again every second or so: its call is also what makes SageMaker scale up. When a call is taken, the line moves: one, two, four at a
 * time, until one is refused again. A generation that is refused keeps its place.
 */
import { OverloadedError } from '../errors.ts';
import type { Priority } from '../keys/caller.ts';
import type { Clock } from '../services.ts';

export interface QueueLimits {
  readonly maxWaiting: number;
  readonly maxWaitMs: number;
  readonly probeMs: number;
}

/** A generation's place. */
export interface Ticket {
  readonly modelId: string;
  readonly priority: Priority;
  readonly arrival: number;
}

export interface QueueStatus {
  /** 1 is the next; 0 for one that does not wait. */
  readonly position: number;
  /** As the last start took; `undefined` before the first. */
  readonly etaSeconds: number | undefined;
}

interface Waiter {
  readonly ticket: Ticket;
  readonly admit: () => void;
  readonly refuse: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

interface Line {
  waiting: Waiter[];
  /** Generations that were let in and have not been answered yet. */
  trying: number;
  window: number;
  probe: NodeJS.Timeout | undefined;
  /** When the capacity was first missed. */
  missedAt: number | undefined;
  lastStartMs: number | undefined;
}

const RANK: Readonly<Record<Priority, number>> = { high: 0, normal: 1, low: 2 };
const WIDEST_WINDOW = 64;

export class CapacityQueue {
  readonly #limits: QueueLimits;
  readonly #clock: Clock;
  readonly #lines = new Map<string, Line>();
  /** When each began to wait: a try that fails does not start its time anew. */
  readonly #since = new WeakMap<Ticket, number>();
  #arrivals = 0;

  constructor(limits: QueueLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  ticket(modelId: string, priority: Priority): Ticket {
    this.#arrivals += 1;
    return { modelId, priority, arrival: this.#arrivals };
  }

  /** Others wait already: who comes now stands behind them. */
  isBusy(modelId: string): boolean {
    return (this.#lines.get(modelId)?.waiting.length ?? 0) > 0;
  }

  /**
   * Waits for this generation's turn to try.
   * @throws {OverloadedError} the line is full, somebody of a higher class needs the place, or it took too long.
   */
  async wait(ticket: Ticket, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const line = this.#line(ticket.modelId);
    line.missedAt ??= this.#clock.now();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const since = this.#since.get(ticket) ?? this.#clock.now();
    this.#since.set(ticket, since);
    const left = Math.max(0, since + this.#limits.maxWaitMs - this.#clock.now());
    const timer = setTimeout(() => this.#leave(line, waiter, this.#tooLong()), left);
    const waiter: Waiter = { ticket, admit: resolve, refuse: reject, timer };
    const leave = () => this.#leave(line, waiter, signal.reason);
    signal.addEventListener('abort', leave, { once: true });
    line.waiting.push(waiter);
    line.waiting.sort((one, other) => RANK[one.ticket.priority] - RANK[other.ticket.priority] || one.ticket.arrival - other.ticket.arrival);
    if (line.waiting.length > this.#limits.maxWaiting) {
      const last = line.waiting.at(-1);
      if (last !== undefined) this.#leave(line, last, this.#full());
    }
    this.#scheduleProbe(line);
    try {
      await promise;
    } finally {
      signal.removeEventListener('abort', leave);
      clearTimeout(timer);
    }
  }

  /** A generation that had waited was answered. */
  succeeded(ticket: Ticket): void {
    const line = this.#lines.get(ticket.modelId);
    if (line === undefined) return;
    if (line.missedAt !== undefined && line.lastStartMs === undefined) line.lastStartMs = this.#clock.now() - line.missedAt;
    line.missedAt = undefined;
    line.trying = Math.max(0, line.trying - 1);
    line.window = Math.min(WIDEST_WINDOW, line.window * 2);
    this.#admit(line);
  }

  /** It was not: by another refusal for want of capacity, after which it waits again, or by anything else. */
  refused(ticket: Ticket): void {
    const line = this.#lines.get(ticket.modelId);
    if (line === undefined) return;
    line.trying = Math.max(0, line.trying - 1);
    line.window = 1;
    this.#scheduleProbe(line);
  }

  status(ticket: Ticket): QueueStatus {
    const line = this.#lines.get(ticket.modelId);
    const position = (line?.waiting.findIndex((waiter) => waiter.ticket === ticket) ?? -1) + 1;
    if (line?.lastStartMs === undefined || line.missedAt === undefined) return { position, etaSeconds: undefined };
    return { position, etaSeconds: Math.max(1, Math.ceil((line.missedAt + line.lastStartMs - this.#clock.now()) / 1000)) };
  }

  #line(modelId: string): Line {
    const known = this.#lines.get(modelId);
    if (known !== undefined) return known;
    const line: Line = { waiting: [], trying: 0, window: 1, probe: undefined, missedAt: undefined, lastStartMs: undefined };
    this.#lines.set(modelId, line);
    return line;
  }

  #scheduleProbe(line: Line): void {
    if (line.probe !== undefined || line.waiting.length === 0) return;
    line.probe = setTimeout(() => {
      line.probe = undefined;
      if (line.trying === 0) this.#admit(line);
      this.#scheduleProbe(line);
    }, this.#limits.probeMs);
  }

  #admit(line: Line): void {
    while (line.trying < line.window) {
      const next = line.waiting.shift();
      if (next === undefined) return;
      line.trying += 1;
      next.admit();
    }
  }

  #leave(line: Line, waiter: Waiter, reason: unknown): void {
    const at = line.waiting.indexOf(waiter);
    if (at < 0) return;
    line.waiting.splice(at, 1);
    clearTimeout(waiter.timer);
    waiter.refuse(reason instanceof Error ? reason : new Error('left the queue'));
    if (line.waiting.length === 0) {
      clearTimeout(line.probe);
      line.probe = undefined;
    }
  }

  #tooLong(): OverloadedError {
    return new OverloadedError(`The model did not start within ${Math.round(this.#limits.maxWaitMs / 1000)} s. Try again later.`, 30);
  }

  #full(): OverloadedError {
    return new OverloadedError(
      `The model is starting, and ${this.#limits.maxWaiting} requests wait for it already. Try again after the time in Retry-After.`,
      10,
    );
  }
}
