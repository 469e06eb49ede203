import { readFile } from 'node:fs/promises';
import { loadLinearHeads, type WindowClassifier } from '../../layers/safety/index.ts';

/** The classifier of policies and moderations. @throws when the file of its weights is missing or damaged: nothing may look judged that is not. */
export async function loadSafetyClassifier(weightsFile: string): Promise<WindowClassifier> {
  return loadLinearHeads(await readFile(weightsFile));
}
