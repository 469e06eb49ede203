/** The fault plan: which calls fail, and how. Read from a file at the start, or set by PUT /_admin/faults. */
import * as v from 'valibot';
import { parseChecked } from './checked-json.ts';
import { createRandom } from './hostile-cuts.ts';

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const afterEvents = v.pipe(v.number(), v.integer(), v.minValue(0));
const seconds = v.pipe(v.number(), v.minValue(0));

/** Which calls a fault takes; all of them when nothing is given. */
const filter = {
  endpoint: v.optional(v.string()),
  inferenceComponent: v.optional(v.string()),
  /** So many calls that match pass before the first one is taken. */
  skip: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)), 0),
  /** So many calls are taken, then no more. */
  count: v.optional(count),
  /** Chance that a call that matches is taken. */
  probability: v.optional(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), 1),
};

/** `afterEvents`: so many events of the container's stream are delivered whole, then the fault comes. */
const faultSchema = v.variant('kind', [
  v.strictObject({ kind: v.literal('throttling'), ...filter }),
  v.strictObject({ kind: v.literal('model-not-ready'), ...filter }),
  v.strictObject({ kind: v.literal('service-unavailable'), ...filter }),
  v.strictObject({ kind: v.literal('internal-failure'), ...filter }),
  v.strictObject({ kind: v.literal('internal-dependency'), ...filter }),
  v.strictObject({
    kind: v.literal('model-error'),
    status: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(599)), 500),
    message: v.optional(v.string(), 'The model failed.'),
    ...filter,
  }),
  /** The component loses its copies now, and has them back after `loadSeconds`. */
  v.strictObject({ kind: v.literal('zero-copies'), loadSeconds: v.optional(seconds, 5), ...filter }),
  v.strictObject({ kind: v.literal('slow-start'), seconds, ...filter }),
  v.strictObject({ kind: v.literal('stream-broken'), afterEvents, ...filter }),
  v.strictObject({ kind: v.literal('stream-time-exceeded'), afterEvents, ...filter }),
  v.strictObject({ kind: v.literal('stream-failure'), afterEvents, ...filter }),
  /** Nothing more comes, and the connection stays open. */
  v.strictObject({ kind: v.literal('stall'), afterEvents, ...filter }),
  /** The connection is reset. */
  v.strictObject({ kind: v.literal('reset'), afterEvents, ...filter }),
  /** The stream ends as if it were whole. */
  v.strictObject({ kind: v.literal('cut'), afterEvents, ...filter }),
  v.strictObject({ kind: v.literal('corrupt-frame'), afterEvents, ...filter }),
]);

const planSchema = v.strictObject({ seed: v.optional(v.pipe(v.number(), v.integer()), 1), faults: v.array(faultSchema) });

export type Fault = v.InferOutput<typeof faultSchema>;
export type FaultPlan = v.InferOutput<typeof planSchema>;
export type FaultPlanInput = v.InferInput<typeof planSchema>;

/** @throws {SentenceError} every problem with its path. */
export function parseFaultPlan(value: unknown): FaultPlan {
  return parseChecked(planSchema, value, 'fault plan');
}

/** Decides, call by call. The first fault of the plan that takes a call wins. */
export class FaultDealer {
  readonly plan: FaultPlan;
  readonly #random: () => number;
  readonly #seen: number[];
  readonly #taken: number[];

  constructor(plan: FaultPlan = { seed: 1, faults: [] }) {
    this.plan = plan;
    this.#random = createRandom(plan.seed);
    this.#seen = plan.faults.map(() => 0);
    this.#taken = plan.faults.map(() => 0);
  }

  /** How many calls each fault of the plan has taken. */
  get taken(): readonly number[] {
    return this.#taken;
  }

  /** Faults inside a stream do not concern whole answers. */
  deal(call: { readonly endpoint: string; readonly inferenceComponent: string | undefined; readonly streams: boolean }): Fault | undefined {
    for (const [index, fault] of this.plan.faults.entries()) {
      if ('afterEvents' in fault && !call.streams) continue;
      if (fault.endpoint !== undefined && fault.endpoint !== call.endpoint) continue;
      if (fault.inferenceComponent !== undefined && fault.inferenceComponent !== call.inferenceComponent) continue;
      const seen = (this.#seen[index] ?? 0) + 1;
      this.#seen[index] = seen;
      if (seen <= fault.skip) continue;
      const taken = this.#taken[index] ?? 0;
      if (fault.count !== undefined && taken >= fault.count) continue;
      if (fault.probability < 1 && this.#random() >= fault.probability) continue;
      this.#taken[index] = taken + 1;
      return fault;
    }
    return undefined;
  }
}
