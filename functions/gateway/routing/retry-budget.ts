/**
 * How many calls may be made again, over all requests of a model: when an endpoint fails for everybody, retries would multiply the load that made it
 * fail. A token bucket: each request puts a share of a token in, time puts a few in so that a quiet model can retry at all, and each retry takes
 * one out. An empty bucket means that failures are told at once. After Finagle's RetryBudget
 * (https://twitter.github.io/finagle/guide/Clients.html#retries); gRPC has the same idea as retry throttling (proposal A6).
 */
import type { Clock } from '../services.ts';

export interface RetryBudgetLimits {
  /** Retries for each hundred requests. 0 forbids all retries. */
  readonly percent: number;
  /** On top of it, however few requests there are. */
  readonly perSecond: number;
}

/** The bucket holds what time alone gives in so many seconds. */
const RESERVE_SECONDS = 10;

interface Bucket {
  tokens: number;
  filledAt: number;
}

export class RetryBudget {
  readonly #limits: RetryBudgetLimits;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: RetryBudgetLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  /** A request that is no retry. */
  deposit(modelId: string): void {
    const bucket = this.#fill(modelId);
    bucket.tokens = Math.min(this.#most, bucket.tokens + this.#limits.percent / 100);
  }

  /** Takes a retry out; false when there is none. */
  withdraw(modelId: string): boolean {
    const bucket = this.#fill(modelId);
    if (this.#limits.percent === 0 || bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }

  get #most(): number {
    return Math.max(1, this.#limits.perSecond * RESERVE_SECONDS);
  }

  #fill(modelId: string): Bucket {
    const now = this.#clock.now();
    const bucket = this.#buckets.get(modelId) ?? { tokens: this.#most, filledAt: now };
    this.#buckets.set(modelId, bucket);
    const seconds = Math.max(0, now - bucket.filledAt) / 1000;
    bucket.tokens = Math.min(this.#most, bucket.tokens + seconds * this.#limits.perSecond);
    bucket.filledAt = now;
    return bucket;
  }
}
