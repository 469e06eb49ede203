import type { LoadedModel } from '../served-models.ts';
import { dropOldestTurns } from './drop-oldest-turns.ts';
import type { GenerationRequest, Prompt } from './generation-request.ts';
import { encodeMessages } from './tokenize-prompt.ts';

/** Leaves the oldest turns out until prompt and answer fit, where the caller asked for that. */
export function fitPrompt(model: LoadedModel, prompt: Prompt, request: GenerationRequest): Prompt {
  if (request.dropOldestTurns !== true || prompt.type !== 'messages') return prompt;
  const room = model.served.contextLength - (request.maxTokens ?? 1);
  const messages = dropOldestTurns(prompt.messages, (messages) => encodeMessages(model, messages, request).length <= room);
  return { ...prompt, messages };
}
