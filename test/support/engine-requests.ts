import type { EngineClient } from '../../models/local/engine/engine-client.ts';
import type { EngineEvent, EngineRequest } from '../../models/local/engine/engine-request.ts';

let count = 0;
/** Draws by a seed, and ends after `maxTokens` only. */
export function request(promptTokenIds: readonly number[], maxTokens: number): EngineRequest {
  return {
    id: `request-${count++}`,
    promptTokenIds,
    maxTokens,
    minTokens: 0,
    endTokenIds: [],
    stopTokenIds: [],
    sampling: {
      temperature: 1,
      topP: 1,
      topK: 0,
      minP: 0,
      seed: 5n,
      repetitionPenalty: 1,
      frequencyPenalty: 0,
      presencePenalty: 0,
      logitBias: new Map(),
      allowedTokenIds: undefined,
    },
    logprobs: undefined,
    promptLogprobs: undefined,
    priority: 0,
    cacheSalt: '',
    adapter: undefined,
    grammar: undefined,
  };
}

/** Resolves with the ids when the request ends, or with the reason when it fails. */
export function generate(engine: EngineClient, asked: EngineRequest, onToken: () => void = () => undefined): Promise<number[] | string> {
  const ids: number[] = [];
  return new Promise((resolve) => {
    engine.submit(asked, (event: EngineEvent) => {
      if (event.type === 'failed') resolve(event.reason);
      if (event.type !== 'output') return;
      ids.push(...event.tokenIds);
      onToken();
      if (event.finish !== undefined) resolve(ids);
    });
  });
}
