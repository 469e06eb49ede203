/** `POST /v1/embeddings`, `/score` and `/rerank`, out. */
import type { RerankRequest } from './embedding-request.ts';

export function encodeEmbeddings(
  embeddings: readonly Float32Array[],
  head: { readonly modelId: string; readonly asBase64: boolean; readonly promptTokens: number },
) {
  return {
    object: 'list' as const,
    model: head.modelId,
    data: embeddings.map((embedding, index) => ({
      object: 'embedding' as const,
      index,
      embedding: head.asBase64 ? encodeBase64(embedding) : [...embedding],
    })),
    usage: { prompt_tokens: head.promptTokens, total_tokens: head.promptTokens },
  };
}

/** Little-endian float32, wherever this runs. */
function encodeBase64(embedding: Float32Array): string {
  const bytes = Buffer.alloc(embedding.length * 4);
  for (const [index, value] of embedding.entries()) bytes.writeFloatLE(value, index * 4);
  return bytes.toString('base64');
}

interface ListHead {
  readonly id: string;
  readonly created: number;
  readonly modelId: string;
  readonly promptTokens: number;
}

export function encodeScores(scores: readonly number[], head: ListHead) {
  return {
    id: head.id,
    object: 'list' as const,
    created: head.created,
    model: head.modelId,
    data: scores.map((score, index) => ({ index, object: 'score' as const, score })),
    usage: { prompt_tokens: head.promptTokens, total_tokens: head.promptTokens, completion_tokens: 0, prompt_tokens_details: null },
  };
}

/** The most relevant first; what is equally so in the order in which it came. */
export function encodeRanking(scores: readonly number[], request: RerankRequest, head: ListHead) {
  const ranked = request.documents
    .map((text, index) => ({ index, document: { text }, relevance_score: scores[index] ?? 0 }))
    .sort((one, other) => other.relevance_score - one.relevance_score);
  return {
    id: head.id,
    model: head.modelId,
    results: ranked.slice(0, request.topN),
    usage: { prompt_tokens: head.promptTokens, total_tokens: head.promptTokens },
  };
}
