import type { Room } from '../generation/room.ts';
import { parseEmbeddingRequest } from '../openai/embedding-request.ts';
import { encodeEmbeddings } from '../openai/embedding-response.ts';
import { embedTexts } from '../pipeline/embed-texts.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** `POST /v1/embeddings` */
export async function createEmbeddings(c: RouteContext, room: Room): Promise<ReturnType<typeof encodeEmbeddings>> {
  const { asBase64, ...request } = parseEmbeddingRequest(await readJsonBody(c));
  const admission = { caller: c.get('caller'), generationId: room.ids.create('gen_') };
  const { embeddings, promptTokens } = await embedTexts(
    room,
    admission,
    { ...request, param: 'input', requestId: c.get('requestId') },
    c.req.raw.signal,
  );
  return encodeEmbeddings(embeddings, { modelId: request.modelId, asBase64, promptTokens });
}
