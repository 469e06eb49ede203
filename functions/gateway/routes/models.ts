import type { Model } from 'openai/resources/models';
import { chooseModel } from '../pipeline/choose-model.ts';
import type { LoadedModel, ServedModels } from '../served-models.ts';

/** `GET /v1/models` */
export function listModels(models: ServedModels): { object: 'list'; data: Model[] } {
  return { object: 'list', data: [...models.values()].map(encodeModel) };
}

/** `GET /v1/models/{id}`; ids may hold `/` and `:`. */
export function getModel(models: ServedModels, modelId: string): Model {
  return encodeModel(chooseModel(models, modelId));
}

/** `max_model_len` is vLLM's addition: clients cut their prompts by it. */
function encodeModel({ served }: LoadedModel): Model & { max_model_len: number } {
  return { id: served.id, object: 'model', created: served.created, owned_by: served.ownedBy, max_model_len: served.contextLength };
}
