import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { loadTokenizer } from '../../layers/tokenizer/index.ts';
import { createContainerServer } from '../../models/local/container/server.ts';
import { MODEL_FILES } from '../../models/local/convert/model-folder.ts';
import { EmbeddingClient } from '../../models/local/embeddings/embedding-client.ts';
import type { EngineLimits } from '../../models/local/engine/engine.ts';
import { EngineClient } from '../../models/local/engine/engine-client.ts';
import { convertTinyModel, ENGINE_FIXTURES } from './tiny-model.ts';

export interface TinyContainer extends AsyncDisposable {
  readonly url: string;
  readonly engine: EngineClient;
  readonly logLines: readonly string[];
  /** POST /invocations. */
  readonly invoke: (body: unknown, options?: { headers?: Readonly<Record<string, string>>; signal?: AbortSignal }) => Promise<Response>;
}

/** The container's server with a random model: real in everything but the weights' sense. */
export async function startTinyContainer(
  limits: Partial<EngineLimits> = {},
  modelName = 'mixed',
  embeddingsFolder?: string,
): Promise<TinyContainer> {
  const model = await convertTinyModel(modelName, modelName === 'f32' ? 'exact' : 'fast');
  const contextLength = 256;
  const vocabulary = await readFile(join(model.path, MODEL_FILES.vocabulary));
  const engine = await EngineClient.start({
    model,
    threads: 1,
    profile: false,
    limits: { slots: 4, maxQueue: 16, kvTokens: 1024, prefillChunk: 16, prefixCacheBytes: 4 << 20, draftTokens: 7, ...limits },
  });
  const embeddings = embeddingsFolder === undefined ? undefined : await EmbeddingClient.start({ folder: embeddingsFolder, threads: 1 });
  const logLines: string[] = [];
  const served = {
    name: 'tiny',
    tokenizer: loadTokenizer(vocabulary),
    vocabularySize: model.config.vocabularySize,
    contextLength,
    stopTokenIds: model.config.stopTokenIds,
  };
  const { server, drain } = createContainerServer(
    engine,
    served,
    (level, event, fields) => logLines.push(JSON.stringify({ level, event, ...fields })),
    { adaptersFolder: ENGINE_FIXTURES, embeddings },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a listening TCP server has this form
  return {
    url,
    engine,
    logLines,
    invoke: (body, { headers, signal } = {}) =>
      fetch(`${url}/invocations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: typeof body === 'string' ? body : JSON.stringify(body),
        ...(signal === undefined ? {} : { signal }),
      }),
    async [Symbol.asyncDispose]() {
      await drain();
      await Promise.all([engine.stop(), embeddings?.stop()]);
      await model[Symbol.asyncDispose]();
    },
  };
}
