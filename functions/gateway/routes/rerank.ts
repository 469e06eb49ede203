/** How well texts fit each other, by the vectors of an embedding model: vLLM's `/score` and `/rerank`. */
import type { Room } from '../generation/room.ts';
import { parseRerankRequest, parseScoreRequest } from '../openai/embedding-request.ts';
import { encodeRanking, encodeScores } from '../openai/embedding-response.ts';
import { cosine, embedTexts } from '../pipeline/embed-texts.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** `POST /score`, `/v1/score` */
export async function score(c: RouteContext, room: Room): Promise<ReturnType<typeof encodeScores>> {
  const { modelId, pairs } = parseScoreRequest(await readJsonBody(c));
  const { embedding, promptTokens } = await embedDistinct(c, room, modelId, pairs.flat(), 'text_2');
  const scores = pairs.map(([first, second]) => cosine(embedding(first), embedding(second)));
  return encodeScores(scores, { ...headOf(room, 'score-'), modelId, promptTokens });
}

/** `POST /rerank`, `/v1/rerank`, `/v2/rerank` */
export async function rerank(c: RouteContext, room: Room): Promise<ReturnType<typeof encodeRanking>> {
  const request = parseRerankRequest(await readJsonBody(c));
  const { modelId, query, documents } = request;
  const { embedding, promptTokens } = await embedDistinct(c, room, modelId, [query, ...documents], 'documents');
  const scores = documents.map((document) => cosine(embedding(query), embedding(document)));
  return encodeRanking(scores, request, { ...headOf(room, 'rerank-'), modelId, promptTokens });
}

/** Each text once, however often it is there. */
async function embedDistinct(c: RouteContext, room: Room, modelId: string, texts: readonly string[], param: string) {
  const input = [...new Set(texts)];
  const admission = { caller: c.get('caller'), generationId: room.ids.create('gen_') };
  const request = { modelId, requestId: c.get('requestId'), input, param, dimensions: undefined };
  const { embeddings, promptTokens } = await embedTexts(room, admission, request, c.req.raw.signal);
  const places = new Map(input.map((text, index) => [text, index]));
  return { promptTokens, embedding: (text: string) => embeddings[places.get(text) ?? 0] ?? new Float32Array() };
}

function headOf(room: Room, prefix: string) {
  return { id: room.ids.create(prefix), created: Math.floor(room.clock.now() / 1000) };
}
