import { type Tokenizer, UnknownTokenError } from '../../../layers/tokenizer/index.ts';
import { InvalidRequestError } from '../errors.ts';
import { parseDetokenizeRequest, parseTokenizeRequest, type TokenizeRequest } from '../openai/tokenize-request.ts';
import { chooseModel } from '../pipeline/choose-model.ts';
import { encodeMessages, encodeText } from '../pipeline/tokenize-prompt.ts';
import type { LoadedModel } from '../served-models.ts';
import type { Services } from '../services.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** `POST /tokenize`: the ids that the model would read, control tokens where its template writes them and nowhere else. */
export async function tokenize(c: RouteContext, services: Services) {
  const request = parseTokenizeRequest(await readJsonBody(c), await c.req.text());
  const { tokenizer, model } = await chooseTokenizer(c, services, request.modelId);
  const tokens = await encode(tokenizer, model, request, c.req.raw.signal);
  const strings = request.showTokens ? tokens.map((id) => tokenizer.tokenString(id)) : null;
  return { count: tokens.length, max_model_len: model?.served.contextLength ?? null, tokens, token_strs: strings };
}

/** `POST /detokenize` */
export async function detokenize(c: RouteContext, services: Services): Promise<{ prompt: string }> {
  const { modelId, tokenIds } = parseDetokenizeRequest(await readJsonBody(c));
  const { tokenizer } = await chooseTokenizer(c, services, modelId);
  try {
    return { prompt: tokenizer.decode(tokenIds) };
  } catch (error) {
    if (!(error instanceof UnknownTokenError)) throw error;
    throw new InvalidRequestError(`'tokens' has an id that the model lacks. ${error.message}`, {
      param: `tokens.${tokenIds.indexOf(error.tokenId)}`,
    });
  }
}

/** A served model, or an encoding of models that are served elsewhere. */
async function chooseTokenizer(
  c: RouteContext,
  services: Services,
  modelId: string,
): Promise<{ readonly tokenizer: Tokenizer; readonly model: LoadedModel | undefined }> {
  const encoding = services.models.has(modelId) ? undefined : await services.encodings?.find(modelId);
  if (encoding !== undefined) return { tokenizer: encoding, model: undefined };
  const model = chooseModel(services.models, modelId, c.get('caller').models);
  return { tokenizer: model.tokenizer, model };
}

async function encode(
  tokenizer: Tokenizer,
  model: LoadedModel | undefined,
  { prompt, addGenerationPrompt, toolUse, parsesSpecialTokens, addsSpecialTokens }: TokenizeRequest,
  signal: AbortSignal,
): Promise<readonly number[]> {
  switch (prompt.type) {
    case 'messages': {
      if (model === undefined) {
        throw new InvalidRequestError("An encoding has no chat template: send 'prompt', or name a served model.", { param: 'messages' });
      }
      return encodeMessages(model, prompt.messages, {
        promptParam: 'messages',
        addGenerationPrompt,
        ...(toolUse === undefined ? {} : { toolUse }),
      });
    }
    case 'text':
      if (parsesSpecialTokens) return [...tokenizer.encodeWithSpecialTokens(prompt.text, { addSpecialTokens: addsSpecialTokens })];
      return addsSpecialTokens ? encodeText(tokenizer, prompt.text, signal) : [...(await tokenizer.encodeAsync(prompt.text, signal))];
    case 'tokens':
      return prompt.tokenIds;
  }
}
