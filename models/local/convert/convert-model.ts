import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { explainFileError } from '../sentence-error.ts';
import type { Precision } from './add-product.ts';
import { buildDecoder } from './build-decoder.ts';
import { storeEmbedding } from './embedding-weights.ts';
import { findOutliers } from './find-outliers.ts';
import { type EmbeddingLayout, FOLDER_VERSION, MODEL_FILES, type ModelManifest } from './model-folder.ts';
import { type ModelSource, openModelSource } from './model-source.ts';
import { OnnxGraph } from './onnx-graph.ts';
import { WeightsFile } from './weights-file.ts';

export interface ConvertOptions {
  /** A GGUF file, or a folder with `config.json`, `*.safetensors` and `tokenizer.json`. */
  readonly ggufPath: string;
  /** Appears whole or not at all; what was there before is replaced. */
  readonly outputFolder: string;
  /** Default `fast`. */
  readonly precision?: Precision;
  /** @param fraction 0 to 1 */
  readonly onProgress?: (fraction: number, what: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Converts a model to a model folder.
 * @throws {SentenceError} a model that cannot be served, or a folder that cannot be written.
 */
export async function convertModel(options: ConvertOptions): Promise<void> {
  const { ggufPath, outputFolder, signal } = options;
  const temporary = `${outputFolder}.partial-${process.pid}`;
  const source = await openModelSource(ggufPath);
  try {
    await mkdir(dirname(outputFolder), { recursive: true });
    await removeAbandoned(outputFolder);
    await mkdir(temporary);
    await writeFolder(source, temporary, options);
    signal?.throwIfAborted();
    await rm(outputFolder, { recursive: true, force: true });
    await rename(temporary, outputFolder);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw explainFileError(error, outputFolder);
  } finally {
    source.close();
  }
}

/** Conversions that were killed leave their folder; those of living processes stay. */
async function removeAbandoned(outputFolder: string): Promise<void> {
  const prefix = `${basename(outputFolder)}.partial-`;
  const parent = dirname(outputFolder);
  const found = (await readdir(parent)).filter((name) => name.startsWith(prefix));
  const dead = found.filter((name) => !isAlive(Number(name.slice(prefix.length))));
  await Promise.all(dead.map((name) => rm(join(parent, name), { recursive: true, force: true })));
}

function isAlive(processId: number): boolean {
  if (processId === process.pid) return false; // a folder of ours would be in use: there is one conversion at a time
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

async function writeFolder(source: ModelSource, folder: string, { precision = 'fast', onProgress, signal }: ConvertOptions): Promise<void> {
  const { config, vocabulary, chatTemplate } = source;
  onProgress?.(0, 'reading');
  const sourceSha256 = await source.hash(signal);

  const outliers = precision === 'exact' ? new Map<string, number[]>() : await findOutliers(source, join(folder, 'probe'), signal);
  const weights = new WeightsFile(folder, MODEL_FILES.weights);
  const graph = new OnnxGraph(weights);
  let embedding: EmbeddingLayout;
  let weightsSha256: string;
  try {
    const stored = storeEmbedding(graph, config, source.tensors);
    embedding = stored.layout;
    for (const fraction of buildDecoder(graph, config, source.tensors, stored, { precision, outliers })) {
      onProgress?.(fraction, 'converting');
      await nextTurn(undefined, signal === undefined ? {} : { signal });
    }
    weightsSha256 = weights.finish();
  } catch (error) {
    weights.abandon();
    throw error;
  }
  const files: Record<string, { bytes: number; sha256: string }> = {
    [MODEL_FILES.weights]: { bytes: weights.byteLength, sha256: weightsSha256 },
    [MODEL_FILES.graph]: await writeDurably(join(folder, MODEL_FILES.graph), graph.finish('plain')),
    [MODEL_FILES.adaptedGraph]: await writeDurably(join(folder, MODEL_FILES.adaptedGraph), graph.finish('adapted')),
    [MODEL_FILES.vocabulary]: await writeDurably(join(folder, MODEL_FILES.vocabulary), vocabulary),
    [MODEL_FILES.chatTemplate]: await writeDurably(join(folder, MODEL_FILES.chatTemplate), new TextEncoder().encode(chatTemplate)),
  };
  const manifest: ModelManifest = {
    version: FOLDER_VERSION,
    precision,
    source: { sha256: sourceSha256, bytes: source.bytes },
    config: { ...config, stopTokenIds: [...config.stopTokenIds] },
    embedding,
    files,
  };
  await writeDurably(join(folder, 'model.json'), new TextEncoder().encode(`${JSON.stringify(manifest, undefined, 2)}\n`));
}

/** On the disk before the folder gets its name: a power cut must not leave a folder that looks whole. */
async function writeDurably(path: string, bytes: Uint8Array): Promise<{ bytes: number; sha256: string }> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { bytes: bytes.length, sha256: createHash('sha256').update(bytes).digest('hex') };
}
