/** What is kept beside a running answer so that another process can go on with it, as one text. */
import type { StoredPlan } from '../pipeline/stored-plan.ts';

export interface KeptPlan {
  /** Name and state of the path's writer. */
  readonly writer: { readonly name: string; readonly state: unknown };
  readonly plan: StoredPlan;
  /** Let go of when the answer fails. */
  readonly idempotencyKey?: string | undefined;
}

/** In UTF-16 units; what is longer than a row lies in pieces. Each kilobyte is a write that costs money. */
const LONGEST = 2_000_000;

/** `undefined` when it is too long to be kept: such an answer ends with its process. */
export function encodeKeptPlan(kept: KeptPlan): string | undefined {
  const text = JSON.stringify(kept);
  return text.length > LONGEST ? undefined : text;
}

export function decodeKeptPlan(text: string): KeptPlan {
  return JSON.parse(text) as KeptPlan; // written above, by nobody else
}
