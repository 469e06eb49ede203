import { type EmbeddingAnswer, InvocationError, parseEmbeddingInvocation } from '../../invocation.ts';
import { normalise } from '../embeddings/embedder.ts';
import type { EmbeddingClient } from '../embeddings/embedding-client.ts';

/** Answers a body with `input`. Throws `InvocationError`. */
export async function answerEmbedding(
  value: unknown,
  id: string,
  modelName: string,
  client: EmbeddingClient,
  signal: AbortSignal,
): Promise<EmbeddingAnswer> {
  const body = parseEmbeddingInvocation(value);
  const vectors: Float32Array[] = [];
  let tokens = 0;
  for (const input of listInputs(body.input)) {
    signal.throwIfAborted();
    const embedding = await client.embed(input);
    const dimensions = body.dimensions ?? embedding.vector.length;
    if (dimensions > embedding.vector.length) {
      throw new InvocationError(`dimensions must be at most ${embedding.vector.length}, got ${dimensions}.`, { param: 'dimensions' });
    }
    vectors.push(normalise(embedding.vector, dimensions));
    tokens += embedding.tokens;
  }
  return {
    id,
    object: 'list',
    created: Math.floor(Date.now() / 1000),
    model: modelName,
    data: vectors.map((vector, index) => ({
      index,
      object: 'embedding',
      embedding: body.encoding_format === 'base64' ? Buffer.from(vector.buffer).toString('base64') : [...vector],
    })),
    usage: { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0 },
  };
}

function listInputs(input: ReturnType<typeof parseEmbeddingInvocation>['input']): readonly (string | readonly number[])[] {
  if (typeof input === 'string') return [input];
  if (typeof input[0] === 'number') return [input as number[]]; // ids, by the first of them
  return input as readonly (string | number[])[];
}
