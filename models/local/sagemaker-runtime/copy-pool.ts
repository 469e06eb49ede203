/** The copies of one model (or the instances of one variant): which of them answer now, and which one takes the next call. */
import { createHash } from 'node:crypto';

export interface PoolState {
  /** Copies that answer, and those that would when all have loaded. */
  readonly running: number;
  readonly wanted: number;
  /** How long it has been so. */
  readonly unchangedMs: number;
}

export class CopyPool {
  readonly #containers: readonly string[];
  readonly #loadSeconds: number;
  readonly #scaleUpWhenRefused: boolean;
  readonly #outstanding: Map<string, number>;
  #copies: number;
  /** When the copies that are loading answer; `undefined` when none loads. */
  #loadedAt: number | undefined;
  #changedAt = performance.now();
  #turn = 0;

  constructor(options: { containers: readonly string[]; copies?: number | undefined; loadSeconds?: number; scaleUpWhenRefused?: boolean }) {
    this.#containers = options.containers;
    this.#copies = options.copies ?? options.containers.length;
    this.#loadSeconds = options.loadSeconds ?? 0;
    this.#scaleUpWhenRefused = options.scaleUpWhenRefused ?? false;
    this.#outstanding = new Map(options.containers.map((url) => [url, 0]));
  }

  /** The containers to try, best first: none when there is no copy. A call with an affinity goes to the same copy each time. */
  candidates(affinity: string | undefined, now: number): readonly string[] {
    const ready = this.#ready(now);
    if (ready.length < 2) return ready;
    const first = affinity === undefined ? this.#turn++ % ready.length : hash(affinity) % ready.length;
    const inTurn = [...ready.slice(first), ...ready.slice(0, first)];
    if (affinity !== undefined) return inTurn;
    return inTurn.sort((one, other) => this.#busy(one) - this.#busy(other)); // stable: equals keep their turn
  }

  /** Counts a call on a container until it is disposed. */
  occupy(container: string): Disposable {
    this.#outstanding.set(container, this.#busy(container) + 1);
    return { [Symbol.dispose]: () => this.#outstanding.set(container, this.#busy(container) - 1) };
  }

  /** A call found no copy. Where the settings say so, copies begin to load. */
  refused(now: number): void {
    if (!this.#scaleUpWhenRefused || this.#loadedAt !== undefined) return;
    this.#loadedAt = now + this.#loadSeconds * 1000;
    this.#changedAt = now;
  }

  /** All copies are gone, and back after this time. */
  reload(loadSeconds: number, now: number): void {
    this.#copies = 0;
    this.#loadedAt = now + loadSeconds * 1000;
    this.#changedAt = now;
  }

  state(now: number): PoolState {
    const running = this.#ready(now).length;
    const wanted = this.#loadedAt === undefined ? running : this.#containers.length;
    return { running, wanted, unchangedMs: now - this.#changedAt };
  }

  #ready(now: number): readonly string[] {
    if (this.#loadedAt !== undefined && now >= this.#loadedAt) {
      this.#changedAt = this.#loadedAt;
      this.#loadedAt = undefined;
      this.#copies = this.#containers.length;
    }
    return this.#containers.slice(0, this.#copies);
  }

  #busy(container: string): number {
    return this.#outstanding.get(container) ?? 0;
  }
}

function hash(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE();
}
