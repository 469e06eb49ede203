import type { GatewayConfig } from '../config.ts';
import type { Services } from '../services.ts';
import { createGuardModel } from './guard-model.ts';
import { createMinilmModel } from './minilm-model.ts';
import type { ReviewerParts } from './reviewers.ts';

/** @throws {Error} a setting names a model that the catalog lacks: what should judge would never be asked. */
export function chooseReviewers(
  { models, endpoint, ids, log }: Pick<Services, 'models' | 'endpoint' | 'ids' | 'log'>,
  { guard, minilm, embeddingModels }: Pick<GatewayConfig, 'guard' | 'minilm' | 'embeddingModels'>,
): ReviewerParts {
  const guardModel = guard && models.get(guard.modelId);
  if (guard !== undefined && guardModel === undefined)
    throw new Error(`PENSTOCK_GUARD_MODEL is ${guard.modelId}, which the catalog lacks.`);
  const minilmModel = embeddingModels.find(({ id }) => id === minilm?.modelId);
  if (minilm !== undefined && minilmModel === undefined)
    throw new Error(`PENSTOCK_MINILM_MODEL is ${minilm.modelId}, which is no embedding model of the catalog.`);
  return {
    guard: guard && guardModel && createGuardModel(guardModel, guard.format, endpoint, ids),
    minilm: minilm && minilmModel && createMinilmModel(minilmModel, minilm.heads, endpoint, ids),
    log,
  };
}
