import type { Model } from 'openai/resources/models';
import type { EmbeddingModel } from '../../../models/catalog.ts';
import { chooseModel } from '../pipeline/choose-model.ts';
import type { LoadedModel, ServedModels } from '../served-models.ts';

/** `GET /v1/models` */
export function listModels(models: ServedModels, embeddingModels: readonly EmbeddingModel[]): { object: 'list'; data: Model[] } {
  return { object: 'list', data: [...[...models.values()].map(encodeModel), ...embeddingModels.map(encodeEmbeddingModel)] };
}

/** `GET /v1/models/{id}`; ids may hold `/` and `:`. */
export function getModel(models: ServedModels, embeddingModels: readonly EmbeddingModel[], modelId: string): Model {
  const embedding = embeddingModels.find((model) => model.id === modelId);
  if (embedding !== undefined) return encodeEmbeddingModel(embedding);
  return encodeModel(chooseModel(models, modelId));
}

/** `max_model_len` is vLLM's addition: clients cut their prompts by it. */
function encodeModel({ served }: LoadedModel): Model & { max_model_len: number } {
  return { id: served.id, object: 'model', created: served.created, owned_by: served.ownedBy, max_model_len: served.contextLength };
}

function encodeEmbeddingModel({ id, created, ownedBy, maxInputTokens }: EmbeddingModel): Model & { max_model_len: number } {
  return { id, object: 'model', created, owned_by: ownedBy, max_model_len: maxInputTokens };
}
