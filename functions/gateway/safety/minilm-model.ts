import { createMinilmClassifier, type TextClassifier } from '../../../layers/safety/index.ts';
import type { EmbeddingModel } from '../../../models/catalog.ts';
import type { Endpoint, Ids } from '../services.ts';

/**
 * The heads over MiniLM, with embeddings from an endpoint: the gateway itself runs no ONNX. Here that is the container of `npm start -- --embeddings`,
 * in AWS an endpoint that serves all-MiniLM-L6-v2.
 */
export function createMinilmModel(model: EmbeddingModel, heads: string, endpoint: Endpoint, ids: Ids): TextClassifier {
  const { name, inferenceComponent, variant } = model.endpoint;
  const target = {
    endpointName: name,
    ...(inferenceComponent === undefined ? {} : { inferenceComponent }),
    ...(variant === undefined ? {} : { variant }),
  };
  return createMinilmClassifier(async (text, signal = new AbortController().signal) => {
    const { embeddings } = await endpoint.embed({ target, requestId: ids.create('review_'), input: [text] }, signal);
    const [embedding] = embeddings;
    if (embedding === undefined) throw new Error('the endpoint gave no embedding');
    return embedding;
  }, heads);
}
