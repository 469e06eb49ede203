import { mkdir } from 'node:fs/promises';
import { explainFileError, SentenceError } from './sentence-error.ts';

/** @throws {SentenceError} when it is not there and cannot be made. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    // Node says ENOENT for a folder that is to be made on a file system that is mounted read-only.
    const isAbsent = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (isAbsent)
      throw new SentenceError(`${path} cannot be made. Make its folder writable, or set PENSTOCK_CACHE to another one.`, { cause: error });
    throw explainFileError(error, path);
  }
}
