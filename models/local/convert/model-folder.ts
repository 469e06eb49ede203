/** A converted model on disk: graph, weights, tokenizer and a `model.json` that names every file's digest. */
import { createHash } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { SentenceError } from '../sentence-error.ts';

/** Raised when the graph or the folder changes shape: older folders are made again. */
export const FOLDER_VERSION = 6;
export const MODEL_FILES = {
  graph: 'model.onnx',
  /** The same weights, with inputs for LoRA adapters. */
  adaptedGraph: 'model-adapted.onnx',
  weights: 'weights.bin',
  vocabulary: 'vocabulary.bin',
  chatTemplate: 'chat-template.jinja',
} as const;

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

const modelConfigSchema = v.object({
  architecture: v.string(),
  name: v.string(),
  blocks: count,
  hiddenSize: count,
  feedForwardSize: count,
  heads: count,
  kvHeads: count,
  headSize: count,
  contextLength: count,
  vocabularySize: count,
  ropeBase: v.number(),
  normEpsilon: v.number(),
  bosTokenId: v.optional(count),
  stopTokenIds: v.array(count),
});

const manifestSchema = v.object({
  version: v.literal(FOLDER_VERSION),
  precision: v.picklist(['exact', 'fast']),
  source: v.object({ sha256: digest, bytes: count }),
  config: modelConfigSchema,
  files: v.record(v.string(), v.object({ bytes: count, sha256: digest })),
});

export type ModelManifest = v.InferOutput<typeof manifestSchema>;

export interface ModelFolder extends ModelManifest {
  readonly path: string;
}

/**
 * Checks every file of the folder by its digest.
 * @throws {SentenceError} no such folder, another version, or a file that is missing or changed: convert the model again.
 */
export async function openModelFolder(path: string): Promise<ModelFolder> {
  const { model, checked } = await beginOpening(path);
  await checked;
  return model;
}

/**
 * The folder as it can be loaded while its weights are still being checked: all but those, and their size, have been. They are data that
 * nothing is decided by before `checked` resolves.
 * @returns `checked` rejects as `openModelFolder` does.
 */
export async function beginOpening(path: string): Promise<{ model: ModelFolder; checked: Promise<void> }> {
  let text: string;
  try {
    text = await readFile(join(path, 'model.json'), 'utf8');
  } catch (error) {
    throw new SentenceError(`${path} holds no converted model. Convert one with npm start.`, { cause: error });
  }
  const manifest = v.safeParse(manifestSchema, parseJson(text));
  if (!manifest.success) throw new SentenceError(`${path} holds a model of another version. Convert it again with npm start.`);
  const { [MODEL_FILES.weights]: weights, ...others } = manifest.output.files;
  await Promise.all(Object.entries(others).map(([name, expected]) => checkFile(join(path, name), expected)));
  const weightsFile = join(path, MODEL_FILES.weights);
  if (weights === undefined || (await sizeOf(weightsFile)) !== weights.bytes) throw damaged(weightsFile);
  return { model: { ...manifest.output, path }, checked: checkFile(weightsFile, weights) };
}

async function checkFile(path: string, { bytes, sha256 }: { readonly bytes: number; readonly sha256: string }): Promise<void> {
  if ((await sizeOf(path)) !== bytes || (await hashFile(path)) !== sha256) throw damaged(path);
}

/** -1 when it is not there. */
async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => -1,
  );
}

function damaged(path: string): SentenceError {
  return new SentenceError(`${path} is damaged. Convert the model again with npm start.`);
}

/** @returns sha256 in hexadecimal. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await using file = await open(path);
  const chunk = Buffer.allocUnsafe(1 << 20);
  for (let { bytesRead } = await file.read(chunk); bytesRead > 0; { bytesRead } = await file.read(chunk)) {
    hash.update(chunk.subarray(0, bytesRead));
    signal?.throwIfAborted();
  }
  return hash.digest('hex');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
