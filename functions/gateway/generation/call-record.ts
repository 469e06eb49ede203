import * as v from 'valibot';
import type { EndpointFailure } from '../errors.ts';
import type { EndpointTarget } from '../services.ts';

/** `left`: the answer needed no more, or its reader was gone. `refused`: the request was at fault. */
export type CallOutcome = EndpointFailure | 'answered' | 'left' | 'refused';

export const callsSchema = v.array(
  v.object({
    endpoint: v.string(),
    /** `null` in the gateway's own region. */
    region: v.nullable(v.string()),
    outcome: v.string(),
    count: v.number(),
  }),
);

/** The endpoint calls of one generation, as its ledger line tells them: where, and how each ended. Like ones are counted together. */
export class CallRecord {
  readonly #calls = new Map<string, { target: EndpointTarget; outcome: CallOutcome; count: number }>();
  #served: EndpointTarget | undefined;
  #busyMs = 0;

  /** Tokens came from there. */
  served(target: EndpointTarget): void {
    this.#served = target;
  }

  /** @param busyMs for how long an instance worked on it, in milliseconds: 0 when it did not begin. */
  ended(target: EndpointTarget, outcome: CallOutcome, busyMs: number): void {
    const name = `${describeTarget(target)} ${target.region ?? ''} ${outcome}`;
    const same = this.#calls.get(name) ?? { target, outcome, count: 0 };
    this.#calls.set(name, { ...same, count: same.count + 1 });
    this.#busyMs += busyMs;
  }

  /** In the words of a ledger line. The endpoint is the one that the last tokens came from. */
  get summary() {
    return {
      calls: [...this.#calls.values()].map(({ target, outcome, count }) => ({
        endpoint: describeTarget(target),
        region: target.region ?? null,
        outcome,
        count,
      })),
      endpoint: this.#served === undefined ? null : describeTarget(this.#served),
      region: this.#served?.region ?? null,
      busyMs: this.#busyMs,
    };
  }
}

/** The endpoint, and the part of it that was asked for: `penstock-gpt/small/blue`. */
function describeTarget({ endpointName, inferenceComponent, variant, adapter }: EndpointTarget): string {
  return [endpointName, inferenceComponent, variant, adapter].filter((part) => part !== undefined).join('/');
}
