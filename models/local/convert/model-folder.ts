/** A converted model on disk: graph, weights, tokenizer and a `model.json` that names every file's digest. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import * as v from 'valibot';
import { SentenceError } from '../sentence-error.ts';

/** Raised when the graph or the folder changes shape: older folders are made again. */
export const FOLDER_VERSION = 5;
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
  let text: string;
  try {
    text = await readFile(join(path, 'model.json'), 'utf8');
  } catch (error) {
    throw new SentenceError(`${path} holds no converted model. Convert one with npm start.`, { cause: error });
  }
  const manifest = v.safeParse(manifestSchema, parseJson(text));
  if (!manifest.success) throw new SentenceError(`${path} holds a model of another version. Convert it again with npm start.`);
  await Promise.all(
    Object.entries(manifest.output.files).map(async ([name, expected]) => {
      const file = join(path, name);
      const size = await stat(file).then(
        (found) => found.size,
        () => -1,
      );
      if (size !== expected.bytes || (await hashFile(file)) !== expected.sha256) {
        throw new SentenceError(`${file} is damaged. Convert the model again with npm start.`);
      }
    }),
  );
  return { ...manifest.output, path };
}

/** @returns sha256 in hexadecimal. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash, signal === undefined ? {} : { signal });
  return hash.digest('hex');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
