/** A converted model on disk: graph, weights, tokenizer and a `model.json` that names every file's digest. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { isIntact, sizeOf } from '../../file-digest.ts';
import { SentenceError } from '../sentence-error.ts';

/** Raised when the graph or the folder changes shape: older folders are made again. */
export const FOLDER_VERSION = 7;
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

/** In the weights file, in bytes. */
const place = v.object({ offset: count, byteLength: count });

/** Where the embedding's rows lie, `[vocabularySize, hiddenSize]` values or what they are computed from. */
const embeddingSchema = v.variant('form', [
  v.object({ form: v.literal('dense'), values: place }),
  v.object({
    form: v.literal('blocks'),
    bits: v.picklist([4, 8]),
    blockSize: count,
    codes: place,
    scales: place,
    offsets: v.exactOptional(place),
  }),
]);
export type EmbeddingLayout = Readonly<v.InferOutput<typeof embeddingSchema>>;

const manifestSchema = v.object({
  version: v.literal(FOLDER_VERSION),
  precision: v.picklist(['exact', 'fast']),
  source: v.object({ sha256: digest, bytes: count }),
  config: modelConfigSchema,
  embedding: embeddingSchema,
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

async function checkFile(path: string, expected: { readonly bytes: number; readonly sha256: string }): Promise<void> {
  if (!(await isIntact(path, expected))) throw damaged(path);
}

function damaged(path: string): SentenceError {
  return new SentenceError(`${path} is damaged. Convert the model again with npm start.`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
