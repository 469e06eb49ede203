import type { ServedModels } from '../served-models.ts';
import { chooseModel } from './choose-model.ts';
import type { GenerationRequest } from './generation-request.ts';
import { tokenizePrompt } from './tokenize-prompt.ts';

/** The exact number of tokens that the model would read. @throws {GatewayError} as the request itself would. */
export async function countPrompt(models: ServedModels, request: GenerationRequest, signal: AbortSignal): Promise<number> {
  const model = chooseModel(models, request.modelId);
  const counts = await Promise.all(request.prompts.map(async (prompt) => (await tokenizePrompt(model, prompt, request, signal)).length));
  return counts.reduce((sum, count) => sum + count, 0);
}
