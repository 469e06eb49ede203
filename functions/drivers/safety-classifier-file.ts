import { readFile } from 'node:fs/promises';
import { loadLinearHeads, type WindowClassifier } from '../../layers/safety/index.ts';
import type { GatewayConfig } from '../gateway/config.ts';

/**
 * The classifier of the safety policy; nothing without a policy, so that a cold start does not pay for what nobody asks.
 * @throws when the file of its weights is missing or damaged: a policy that cannot judge must not look as if it did.
 */
export async function loadSafetyClassifier(
  config: Pick<GatewayConfig, 'safetyPolicy' | 'safetyWeightsFile'>,
): Promise<{ readonly classifier?: WindowClassifier }> {
  if (config.safetyPolicy === undefined) return {};
  return { classifier: loadLinearHeads(await readFile(config.safetyWeightsFile)) };
}
