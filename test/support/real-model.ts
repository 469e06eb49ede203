import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Precision } from '../../models/local/convert/add-product.ts';
import { convertModel } from '../../models/local/convert/convert-model.ts';
import { type ModelFolder, openModelFolder } from '../../models/local/convert/model-folder.ts';
import { fetchGguf } from '../../models/local/fetch-gguf.ts';
import { SentenceError } from '../../models/local/sentence-error.ts';
import { readSettings } from '../../models/local/settings.ts';

/** The default model from the user's cache, as `npm start` keeps it; fetched and converted when it is not there yet. */
export async function openRealModel(precision: Precision): Promise<ModelFolder> {
  const settings = readSettings([]);
  if (settings === 'help') throw new Error('no settings');
  const folder = join(settings.cacheFolder, 'test-models', precision);
  return openModelFolder(folder).catch(async (error: unknown) => {
    if (!(error instanceof SentenceError)) throw error;
    await mkdir(settings.cacheFolder, { recursive: true });
    await convertModel({ ggufPath: await fetchGguf(settings.cacheFolder, settings.environment), outputFolder: folder, precision });
    return openModelFolder(folder);
  });
}
