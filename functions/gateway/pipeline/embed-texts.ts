import { UnknownTokenError } from '../../../layers/tokenizer/index.ts';
import type { EmbeddingModel } from '../../../models/catalog.ts';
import { InvalidRequestError, ModelNotFoundError } from '../errors.ts';
import type { Room } from '../generation/room.ts';
import { screenEmbeddingInput } from '../safety/screen-texts.ts';
import type { EmbeddingRequest, EmbeddingResult } from '../services.ts';
import { meterPrompt } from './meter-prompt.ts';
import { refuseSwitchedOff } from './refuse-switched-off.ts';
import type { Admission } from './run-generation.ts';

/**
 * Embeds texts with a model of the catalog, metered. Vectors have unit length, also after they were cut to fewer dimensions.
 * @throws {ModelNotFoundError} no embedding model has this name. @throws {InvalidRequestError} more dimensions than it has.
 */
export async function embedTexts(
  room: Room,
  admission: Admission,
  request: {
    readonly modelId: string;
    readonly requestId: string;
    readonly input: EmbeddingRequest['input'];
    /** Name of the request field that holds the texts, for error messages. */
    readonly param: string;
    readonly dimensions: number | undefined;
  },
  signal: AbortSignal,
): Promise<EmbeddingResult> {
  const { modelId, requestId, param, dimensions } = request;
  const model = chooseEmbeddingModel(room.config.embeddingModels, modelId, admission.caller.models);
  await refuseSwitchedOff(room.switches, modelId);
  if (dimensions !== undefined && dimensions > model.dimensions) {
    throw new InvalidRequestError(`'dimensions' is ${dimensions}, but ${model.id} has ${model.dimensions}.`, { param: 'dimensions' });
  }
  const readable = await readTokenIds(room, model, request.input);
  const { input, verdicts } = await screenEmbeddingInput(room, admission.caller, readable, { param, requestId, signal });
  const { endpoint } = model;
  const target = {
    endpointName: endpoint.name,
    ...(endpoint.inferenceComponent === undefined ? {} : { inferenceComponent: endpoint.inferenceComponent }),
    ...(endpoint.variant === undefined ? {} : { variant: endpoint.variant }),
  };
  const { id, price, deployment } = model;
  const metered = { id, price, deployment, requestId, promptTokens: mostTokens(input, model), verdicts };
  const { embeddings, promptTokens } = await meterPrompt(room, admission, metered, async () => {
    const result = await room.endpoint.embed({ target, requestId, input }, signal);
    return { result, promptTokens: result.promptTokens };
  });
  return { promptTokens, embeddings: embeddings.map((embedding) => normalise(embedding.subarray(0, dimensions))) };
}

function chooseEmbeddingModel(models: readonly EmbeddingModel[], modelId: string, allowed?: readonly string[]): EmbeddingModel {
  const model = models.find((candidate) => candidate.id === modelId && (allowed === undefined || allowed.includes(modelId)));
  if (model === undefined) throw new ModelNotFoundError(modelId);
  return model;
}

/** Ids of the model's own vocabulary as they are, those of the encoding that the catalog names as text, and no others. */
async function readTokenIds(
  { encodings }: Room,
  { id, takesTokenIds, readsTokenIdsAs }: EmbeddingModel,
  input: EmbeddingRequest['input'],
): Promise<EmbeddingRequest['input']> {
  if (isTexts(input) || takesTokenIds) return input;
  const encoding = readsTokenIdsAs === undefined ? undefined : await encodings?.find(readsTokenIdsAs);
  if (encoding === undefined) {
    throw new InvalidRequestError(`${id} takes texts: token ids of another vocabulary would mean something else to it.`, {
      param: 'input',
    });
  }
  try {
    return input.map((ids) => encoding.decode(ids));
  } catch (error) {
    if (!(error instanceof UnknownTokenError)) throw error;
    throw new InvalidRequestError(
      `Token ids of \`input\` are read as ${readsTokenIdsAs}, which has no such token: send ids of it, or texts.`,
      {
        param: 'input',
      },
    );
  }
}

function isTexts(input: EmbeddingRequest['input']): input is readonly string[] {
  return typeof input[0] === 'string';
}

/** The endpoint has the tokenizer, so this is a bound: no vocabulary makes more tokens of a text than it has bytes, and two that mark its ends. */
function mostTokens(input: EmbeddingRequest['input'], { maxInputTokens }: EmbeddingModel): number {
  return input
    .map((one) => Math.min(maxInputTokens, (typeof one === 'string' ? Buffer.byteLength(one) : one.length) + 2))
    .reduce((sum, tokens) => sum + tokens, 0);
}

function normalise(embedding: Float32Array): Float32Array {
  const length = Math.hypot(...embedding);
  return length === 0 ? embedding : embedding.map((value) => value / length);
}

/** Of vectors of unit length. */
export function cosine(one: Float32Array, other: Float32Array): number {
  return one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);
}
