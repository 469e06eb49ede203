import { readFile } from 'node:fs/promises';
import { StoreUnavailableError } from '../gateway/errors.ts';
import type { SettingText } from '../gateway/services.ts';

/** A text in a file. */
export function createFileSetting(path: string): SettingText {
  return {
    async read() {
      try {
        return await readFile(path, 'utf8');
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
        throw new StoreUnavailableError(`the file ${path}`, { cause: error });
      }
    },
  };
}
