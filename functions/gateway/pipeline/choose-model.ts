import { ModelNotFoundError } from '../errors.ts';
import type { LoadedModel, ServedModels } from '../served-models.ts';

/**
 * @param allowed models that the caller may use; `undefined` means all.
 * @throws {ModelNotFoundError} an unknown name is an error: serving another model in its place would be a lie.
 */
export function chooseModel(models: ServedModels, modelId: string, allowed?: readonly string[]): LoadedModel {
  const model = allowed === undefined || allowed.includes(modelId) ? models.get(modelId) : undefined;
  if (model === undefined) throw new ModelNotFoundError(modelId);
  return model;
}
