import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Precision } from '../../models/local/convert/add-product.ts';
import { convertModel } from '../../models/local/convert/convert-model.ts';
import { type ModelFolder, openModelFolder } from '../../models/local/convert/model-folder.ts';

export const ENGINE_FIXTURES = new URL('../fixtures/engine/', import.meta.url).pathname;

/** A random model of two blocks and 260 tokens, converted into a temporary folder. Its end-of-sequence id is 258. */
export async function convertTinyModel(name = 'q4_1', precision: Precision = 'fast'): Promise<ModelFolder & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), 'penstock-tiny-'));
  const outputFolder = join(folder, name);
  const file = name === 'folder' ? 'tiny-folder' : `tiny-${name}.gguf`;
  await convertModel({ ggufPath: join(ENGINE_FIXTURES, file), outputFolder, precision });
  const model = await openModelFolder(outputFolder);
  return { ...model, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}
