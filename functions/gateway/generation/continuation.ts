/**
 * Whether an answer can go on after the call that began it is gone, and what its rest is worth then. The catalog says what each target promises
 * (`continuation` in `models/catalog.ts`); what was asked for can only lessen it.
 */
import type { Continuation } from '../../../models/catalog.ts';
import type { SamplingOptions } from '../services.ts';

/** `identical`: the very tokens of an answer that was not interrupted. `valid`: a good answer, with other words. `none`: it cannot go on. */
export type ContinuationPromise = 'identical' | 'valid' | 'none';

/** The least of what the targets promise that can go on at all: whichever goes on, this holds. */
export function promiseOf(
  targets: readonly { readonly continuation: Continuation }[],
  { temperature, frequencyPenalty = 0, presencePenalty = 0 }: SamplingOptions,
): ContinuationPromise {
  const promises = new Set(targets.map((target) => target.continuation).filter((promise) => promise !== 'none'));
  if (promises.size === 0) return 'none';
  // Engines count what they generated for a penalty; tokens that come to them as prompt are not counted.
  if (promises.has('valid') || frequencyPenalty !== 0 || presencePenalty !== 0) return 'valid';
  return promises.has('identical-at-temperature-0') && temperature > 0 ? 'valid' : 'identical';
}

/**
 * The seed of a sampled answer whose caller set none, so that whoever goes on draws what would have been drawn: part of the generation's own random
 * id. `undefined` where a seed makes nothing identical: there it would only slow the engine down (vLLM draws request by request for seeds).
 */
export function chooseSeed(generationId: string, promise: ContinuationPromise, { temperature }: SamplingOptions): number | undefined {
  if (promise !== 'identical' || temperature === 0) return undefined;
  let hash = 0xcbf29ce484222325n;
  for (const unit of generationId) hash = BigInt.asUintN(64, (hash ^ BigInt(unit.codePointAt(0) ?? 0)) * 0x100000001b3n);
  return Number(hash >> 12n); // 52 bits: exact in JSON, and room for the seeds of further choices
}
