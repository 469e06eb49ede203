/** Where the time of steps goes, in milliseconds, by kind of step. */
export interface StepTimes {
  readonly steps: number;
  /** Computed, guesses among them. */
  readonly tokens: number;
  /** Caches moved, restored and laid out anew. */
  readonly caches: number;
  /** onnxruntime. */
  readonly graph: number;
  /** New rows written into the caches. */
  readonly write: number;
  /** Masks, sampling and log-probabilities. */
  readonly sample: number;
}

export interface StepProfile {
  readonly prefill: StepTimes;
  readonly decode: StepTimes;
}

type Phase = 'caches' | 'graph' | 'write' | 'sample';
type Mutable = { -readonly [Key in keyof StepTimes]: StepTimes[Key] };

/** Adds up what a stopwatch says. Two clock readings a phase: cheap enough to stay on. */
export class StepStopwatch {
  #times = { prefill: noTime(), decode: noTime() };
  #kind: 'prefill' | 'decode' = 'decode';
  #lapAt = 0;

  begin(kind: 'prefill' | 'decode'): void {
    this.#kind = kind;
    this.#times[kind].steps++;
    this.#lapAt = performance.now();
  }

  /** So many tokens are computed in this step. */
  count(tokens: number): void {
    this.#times[this.#kind].tokens += tokens;
  }

  /** The time since the last lap was spent on this. */
  lap(phase: Phase): void {
    const now = performance.now();
    this.#times[this.#kind][phase] += now - this.#lapAt;
    this.#lapAt = now;
  }

  /** What was measured since it was last taken. */
  take(): StepProfile {
    const taken = this.#times;
    this.#times = { prefill: noTime(), decode: noTime() };
    return taken;
  }
}

function noTime(): Mutable {
  return { steps: 0, tokens: 0, caches: 0, graph: 0, write: 0, sample: 0 };
}
