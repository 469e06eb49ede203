import { readFile, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { loadTokenizer, VocabularyError } from '../../layers/tokenizer/index.ts';
import { catalog, type ServedModel } from '../catalog.ts';
import { hashFile } from '../file-digest.ts';
import { convertModel } from './convert/convert-model.ts';
import { MODEL_FILES, type ModelFolder, openModelFolder } from './convert/model-folder.ts';
import { DEFAULT_MODEL } from './default-model.ts';
import { fetchGguf } from './fetch-gguf.ts';
import { makeFolder } from './make-folder.ts';
import { Progress } from './progress.ts';
import { SentenceError } from './sentence-error.ts';
import type { LocalSettings } from './settings.ts';

/** A model on this machine, ready for the container and the gateway. */
export interface PreparedModel {
  /** What the container loads. */
  readonly folder: string;
  /** Holds the folder that the catalog's tokenizer names. */
  readonly tokenizersFolder: string;
  /** What is served here: the default model as the catalog has it, or an entry made from the GGUF. */
  readonly catalog: readonly ServedModel[];
}

/**
 * Gets the model, unless it is here already: fetches, checks and converts it. Converted models are kept by the digest of their GGUF.
 * @throws {SentenceError} naming the way out.
 */
export async function prepareModel(
  settings: Pick<LocalSettings, 'cacheFolder' | 'ggufFile' | 'contextLength' | 'environment'>,
): Promise<PreparedModel> {
  const modelsFolder = join(settings.cacheFolder, 'models');
  await makeFolder(modelsFolder);
  const digest = settings.ggufFile === undefined ? DEFAULT_MODEL.file.sha256 : await hashGguf(settings.ggufFile);
  const folder = join(modelsFolder, digest);
  const model = await openCurrent(folder, settings.ggufFile === undefined).catch(async (error: unknown) => {
    if (!(error instanceof SentenceError)) throw error;
    await convert(settings.ggufFile ?? (await fetchGguf(settings.cacheFolder, settings.environment)), folder);
    return openModelFolder(folder);
  });
  const served = settings.ggufFile === undefined ? describeDefault(folder) : await describeFile(settings.ggufFile, model, folder);
  const contextLength = Math.min(served.contextLength, model.config.contextLength, settings.contextLength ?? Number.POSITIVE_INFINITY);
  // Our engine draws each position with a seed of its own.
  const endpoint = { ...served.endpoint, continuation: 'identical' } as const;
  return { folder, tokenizersFolder: modelsFolder, catalog: [{ ...served, contextLength, endpoint }] };
}

/** A folder that an earlier version of Penstock made may hold a vocabulary that this one reads no more, or compiles otherwise. */
async function openCurrent(folder: string, isDefault: boolean): Promise<ModelFolder> {
  const model = await openModelFolder(folder);
  const vocabulary = await readFile(join(folder, MODEL_FILES.vocabulary));
  try {
    const { digest } = loadTokenizer(vocabulary);
    if (!isDefault || digest === describeDefault(folder).tokenizer.digest) return model;
  } catch (error) {
    if (!(error instanceof VocabularyError)) throw error;
  }
  throw new SentenceError(`${folder} was made by another version of Penstock.`);
}

async function hashGguf(path: string): Promise<string> {
  return hashFile(path).catch((error: unknown) => {
    throw new SentenceError(`${path} cannot be read. Name a GGUF file with: npm start -- --model FILE`, { cause: error });
  });
}

async function convert(ggufPath: string, outputFolder: string): Promise<void> {
  const progress = new Progress('Converting the model');
  try {
    await convertModel({ ggufPath, outputFolder, onProgress: (fraction, what) => progress.show(fraction, what) });
    progress.show(1, 'done');
  } finally {
    progress.end();
  }
}

function describeDefault(folder: string): ServedModel {
  const served = catalog.find((model) => model.id === DEFAULT_MODEL.id);
  if (served === undefined) throw new Error(`models/catalog.ts has no model ${DEFAULT_MODEL.id}`);
  return { ...served, tokenizer: { ...served.tokenizer, folder: basename(folder) } };
}

async function describeFile(ggufFile: string, model: ModelFolder, folder: string): Promise<ServedModel> {
  const { mtimeMs } = await stat(ggufFile);
  return {
    id: basename(ggufFile, extname(ggufFile)).toLowerCase(),
    created: Math.floor(mtimeMs / 1000),
    ownedBy: 'local',
    tokenizer: { folder: basename(folder), digest: model.files[MODEL_FILES.vocabulary]?.sha256 ?? '' },
    contextLength: model.config.contextLength,
    stopTokenIds: model.config.stopTokenIds,
    endpoint: { name: 'penstock-local' },
  };
}
