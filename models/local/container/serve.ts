import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadTokenizer } from '../../../layers/tokenizer/index.ts';
import { beginOpening, MODEL_FILES } from '../convert/model-folder.ts';
import { EmbeddingClient } from '../embeddings/embedding-client.ts';
import { EngineClient } from '../engine/engine-client.ts';
import type { StepTimes } from '../engine/step-profile.ts';
import { SentenceError } from '../sentence-error.ts';
import { createLog } from './log.ts';
import { createContainerServer } from './server.ts';
import type { ContainerSettings } from './settings.ts';

const log = createLog((line) => process.stdout.write(line));

/** Loads a model folder, answers on a port, drains on SIGTERM. @throws {SentenceError} naming the way out. */
export async function serve(settings: ContainerSettings): Promise<void> {
  const startedAt = performance.now();
  const { host, port, slots, maxQueue, prefillChunk, draftTokens, threads, drainSeconds } = settings;
  const { model, checked } = await beginOpening(settings.modelFolder);
  const contextLength = Math.min(settings.contextLength ?? model.config.contextLength, model.config.contextLength);
  const kvTokens = Math.max(settings.kvTokens ?? 4 * contextLength, contextLength + 1);
  const loadingEngine = EngineClient.start({
    model,
    threads,
    profile: settings.profile,
    limits: { slots, maxQueue, kvTokens, prefillChunk, draftTokens, prefixCacheBytes: settings.prefixCacheMb << 20 },
  });
  const { embeddingsFolder } = settings;
  const [vocabulary, engine, embeddings] = await allEnded([
    readFile(join(model.path, MODEL_FILES.vocabulary)),
    loadingEngine,
    // One after the other: onnxruntime flushes denormal numbers only in the thread that opens the process's first session.
    loadingEngine.then(() => (embeddingsFolder === undefined ? undefined : EmbeddingClient.start({ folder: embeddingsFolder, threads }))),
    checked,
  ]);
  const { server, drain } = createContainerServer(
    engine,
    {
      name: model.config.name,
      tokenizer: loadTokenizer(vocabulary),
      vocabularySize: model.config.vocabularySize,
      contextLength,
      stopTokenIds: model.config.stopTokenIds,
    },
    log,
    { adaptersFolder: settings.adaptersFolder, embeddings },
  );
  engine.onProfile = ({ prefill, decode }) => {
    for (const [kind, times] of Object.entries({ prefill, decode })) {
      if (times.steps > 0) log('info', `profile-${kind}`, perStep(times));
    }
  };
  void engine.gone.then((error) => {
    if (stopping) return;
    log('error', 'engine-failed', { reason: error.message });
    process.exit(1); // whoever started this process starts it again
  });
  let stopping = false;
  const stop = async () => {
    if (stopping) return;
    stopping = true;
    log('info', 'draining');
    await Promise.race([drain(), sleep(drainSeconds * 1000)]);
    await Promise.all([engine.stop(), embeddings?.stop()]);
    process.exit(0);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);

  server.listen(port, host);
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    throw new SentenceError(`${host}:${port} cannot be listened on (${error.code}). Choose another with --port.`, { cause: error });
  });
  const address = server.address();
  log('info', 'ready', {
    address: `http://${host}:${typeof address === 'object' && address !== null ? address.port : port}`,
    model: model.config.name,
    slots,
    contextLength,
    threads,
    milliseconds: Math.round(performance.now() - startedAt),
  });
  flushCompileCache(); // otherwise it is kept when the process ends, which may be a kill
}

/** As `Promise.all`, but not before every one has ended: a process that exits while onnxruntime loads a model is aborted. */
async function allEnded<T extends readonly unknown[]>(promises: { readonly [Key in keyof T]: Promise<T[Key]> }): Promise<T> {
  await Promise.allSettled(promises);
  return Promise.all(promises) as Promise<T>; // a tuple stays one
}

/** Milliseconds of one step, on average. */
function perStep({ steps, tokens, ...phases }: StepTimes): Record<string, number> {
  const averages = Object.entries(phases).map(([phase, time]) => [`${phase}Ms`, Math.round((time / steps) * 1000) / 1000] as const);
  return { steps, tokens, ...Object.fromEntries(averages) };
}
