/** What this process has seen of an endpoint: how much it has under way there, and whether it answers. One circuit breaker for each target. */
import type { EndpointTarget } from '../services.ts';

const OPENS_AFTER_FAILURES = 3;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 60_000;

export interface TargetState {
  readonly outstanding: number;
  readonly failures: number;
  /** Until then nothing is sent there; afterwards one call tries. */
  readonly openUntil: number;
}

const UNKNOWN: TargetState = { outstanding: 0, failures: 0, openUntil: 0 };

export class TargetHealth {
  readonly #states = new Map<string, TargetState>();

  of(target: EndpointTarget): TargetState {
    return this.#states.get(nameOf(target)) ?? UNKNOWN;
  }

  isOpen(target: EndpointTarget, nowMs: number): boolean {
    return this.of(target).openUntil > nowMs;
  }

  began(target: EndpointTarget): void {
    this.#change(target, (state) => ({ ...state, outstanding: state.outstanding + 1 }));
  }

  ended(target: EndpointTarget): void {
    this.#change(target, (state) => ({ ...state, outstanding: Math.max(0, state.outstanding - 1) }));
  }

  answered(target: EndpointTarget): void {
    this.#change(target, (state) => ({ ...state, failures: 0, openUntil: 0 }));
  }

  failed(target: EndpointTarget, nowMs: number): void {
    this.#change(target, (state) => {
      const failures = state.failures + 1;
      if (failures < OPENS_AFTER_FAILURES) return { ...state, failures };
      const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (failures - OPENS_AFTER_FAILURES));
      return { ...state, failures, openUntil: nowMs + pause };
    });
  }

  #change(target: EndpointTarget, change: (state: TargetState) => TargetState): void {
    this.#states.set(nameOf(target), change(this.of(target)));
  }
}

export function nameOf({ endpointName, inferenceComponent = '', variant = '', adapter = '', region = '' }: EndpointTarget): string {
  return [region, endpointName, inferenceComponent, variant, adapter].join('/');
}
