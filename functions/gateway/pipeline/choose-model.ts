import { ModelNotFoundError } from '../errors.ts';
import type { LoadedModel, ServedModels } from '../served-models.ts';

/** @throws {ModelNotFoundError} an unknown name is an error: serving another model in its place would be a lie. */
export function chooseModel(models: ServedModels, modelId: string): LoadedModel {
  const model = models.get(modelId);
  if (model === undefined) throw new ModelNotFoundError(modelId);
  return model;
}
