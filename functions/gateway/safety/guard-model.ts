import { createGuardClassifier, type Direction, type GuardFormat, type TextClassifier } from '../../../layers/safety/index.ts';
import { targetsOf } from '../pipeline/hold-tokens.ts';
import type { LoadedModel } from '../served-models.ts';
import type { Endpoint, Ids } from '../services.ts';

/** Both formats answer in less; an answer that goes on is none. */
const MAX_TOKENS = 96;
/** Where the heads are not sure: measured in `models/safety/README.md`, few harmless texts score above the lower end. */
const UNDECIDED: TextClassifier['bands'] = Object.fromEntries(
  ['hate', 'harassment', 'illicit', 'self-harm', 'sexual', 'violence'].map((category) => [category, [0.1, 0.9]]),
);
const ALWAYS: TextClassifier['bands'] = { hate: [0, 1] };

/**
 * A guard model of the catalog, asked through the same port as every model: token ids in, token ids out. So nothing that is typed can become a
 * control token of the guard's own prompt.
 */
export function createGuardModel(
  model: LoadedModel,
  format: GuardFormat,
  endpoint: Endpoint,
  ids: Ids,
): (direction: Direction, asked: 'undecided' | 'always') => TextClassifier {
  const complete = async (messages: ReturnType<GuardFormat['messages']>, signal = new AbortController().signal): Promise<string> => {
    const [target] = targetsOf(model);
    if (target === undefined) throw new Error(`${model.served.id} has no endpoint`);
    const { weight: _, ...named } = target;
    const promptTokenIds = [...model.chatTemplate.encode({ messages, addGenerationPrompt: true })];
    const request = {
      target: named,
      requestId: ids.create('guard_'),
      promptTokenIds,
      maxTokens: MAX_TOKENS,
      stopTokenIds: model.served.stopTokenIds,
      sampling: { temperature: 0, topP: 1 },
    };
    const tokenIds: number[] = [];
    for await (const event of endpoint.invoke(request, signal)) if (event.type === 'tokens') tokenIds.push(...event.tokenIds);
    return model.tokenizer.decode(tokenIds, { skipSpecialTokens: true });
  };
  return (direction, asked) => createGuardClassifier(format, complete, { direction, bands: asked === 'always' ? ALWAYS : UNDECIDED });
}
