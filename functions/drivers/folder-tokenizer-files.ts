import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TokenizerFiles } from '../gateway/services.ts';

/** Tokenizers in folders: a Lambda layer's, the project's, or the local cache's. */
export function createFolderTokenizerFiles(root: string): TokenizerFiles {
  return {
    async load(folder) {
      const [vocabulary, chatTemplate] = await Promise.all([
        readFile(join(root, folder, 'vocabulary.bin')),
        readFile(join(root, folder, 'chat-template.jinja'), 'utf8'),
      ]);
      return { vocabulary, chatTemplate };
    },
  };
}
