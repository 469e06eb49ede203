import { UnknownTokenError } from '../../../layers/tokenizer/index.ts';
import { InvalidRequestError } from '../errors.ts';
import { parseDetokenizeRequest, parseTokenizeRequest } from '../openai/tokenize-request.ts';
import { chooseModel } from '../pipeline/choose-model.ts';
import type { LoadedModel } from '../served-models.ts';
import type { Services } from '../services.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** `POST /tokenize`: the ids that the model would read, control tokens where its template writes them and nowhere else. */
export async function tokenize(c: RouteContext, services: Services) {
  const request = parseTokenizeRequest(await readJsonBody(c));
  const model = chooseModel(services.models, request.modelId, c.get('caller').models);
  const tokens = await encode(model, request, c.req.raw.signal);
  const strings = request.showTokens ? tokens.map((id) => lossyText.decode(model.tokenizer.tokenBytes(id))) : null;
  return { count: tokens.length, max_model_len: model.served.contextLength, tokens, token_strs: strings };
}

async function encode(
  { tokenizer, chatTemplate }: LoadedModel,
  request: ReturnType<typeof parseTokenizeRequest>,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const { prompt, addGenerationPrompt } = request;
  if (prompt.type === 'messages') return [...chatTemplate.encode({ messages: prompt.messages, addGenerationPrompt })];
  return prompt.type === 'text' ? [...(await tokenizer.encodeAsync(prompt.text, signal))] : prompt.tokenIds;
}

/** `POST /detokenize` */
export async function detokenize(c: RouteContext, services: Services): Promise<{ prompt: string }> {
  const { modelId, tokenIds } = parseDetokenizeRequest(await readJsonBody(c));
  const { tokenizer } = chooseModel(services.models, modelId, c.get('caller').models);
  try {
    return { prompt: tokenizer.decode(tokenIds) };
  } catch (error) {
    if (!(error instanceof UnknownTokenError)) throw error;
    throw new InvalidRequestError(`'tokens' has an id that the model lacks. ${error.message}`, {
      param: `tokens.${tokenIds.indexOf(error.tokenId)}`,
    });
  }
}

/** A token that is not whole UTF-8 shows as replacement characters. */
const lossyText = new TextDecoder('utf-8', { ignoreBOM: true });
