import { readFileSync } from 'node:fs';
import { loadLinearHeads, type WindowClassifier } from '../../layers/safety/index.ts';

/** The committed weights of the linear heads, 1.7 MB. */
const headsPath = new URL('weights/linear-heads.bin', import.meta.url).pathname;

export function loadHeadsFromFile(path: string = headsPath): WindowClassifier {
  return loadLinearHeads(readFileSync(path));
}
