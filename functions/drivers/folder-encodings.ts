import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadTokenizer, type Tokenizer } from '../../layers/tokenizer/index.ts';
import type { Encodings } from '../gateway/services.ts';

/** Names of OpenAI's encodings, as `npm run tokenizer -- compile` writes their folders. A name is never made into a path. */
const NAMES = ['r50k_base', 'p50k_base', 'cl100k_base', 'o200k_base'] as const;

/** Encodings that were compiled into a folder, each read when it is first asked for. */
export function createFolderEncodings(folder: string): Encodings {
  const loaded = new Map<string, Tokenizer>();
  return {
    async find(name) {
      const known = NAMES.find((one) => one === name);
      if (known === undefined) return undefined;
      const present = loaded.get(known);
      if (present !== undefined) return present;
      const file = await readFile(join(folder, known, 'vocabulary.bin')).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return undefined; // not compiled here: this gateway does without
        throw error;
      });
      if (file === undefined) return undefined;
      const tokenizer = loadTokenizer(file);
      loaded.set(known, tokenizer);
      return tokenizer;
    },
  };
}
