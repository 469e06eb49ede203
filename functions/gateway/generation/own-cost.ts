/**
 * What a generation costs whoever runs the instances, beside the price that its caller is charged. A copy of a model serves `concurrencyPerCopy`
 * requests at once on its part of an instance; a request pays for one of these places as long as its calls are open:
 *
 *     busy seconds * instanceDollarsPerHour / 3600 / copiesPerInstance / concurrencyPerCopy
 *
 * This assumes a copy that is always full. Hours in which it waits, starts or is half empty are nobody's, so the sum over all generations is at
 * most the bill, and the bill itself is shared out by the busy seconds: each one's part of it is its busy seconds by those of all. A target in
 * another region is taken to cost the same, and of two hedged calls only the time until the answer's end counts, once.
 */
import type { ModelDeployment } from '../../../models/catalog.ts';
import { NANO } from '../keys/limits.ts';

const HOUR_MS = 3_600_000;

/** In nano-dollars; `null` for a model that runs on no instance of ours, or without a price. */
export function ownCostOf(deployment: ModelDeployment | undefined, busyMs: number): number | null {
  if (deployment?.instanceDollarsPerHour === undefined) return null;
  const { instanceDollarsPerHour, copiesPerInstance = 1, concurrencyPerCopy } = deployment;
  return Math.round((busyMs / HOUR_MS) * ((instanceDollarsPerHour * NANO) / copiesPerInstance / concurrencyPerCopy));
}
