/** A failure that its reader can mend: shown as its one sentence, without a stack. */
export class SentenceError extends Error {
  override readonly name = 'SentenceError';
}

/** Turns what the file system says into a sentence with the way out; anything else passes unchanged. */
export function explainFileError(error: unknown, path: string): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new SentenceError(`No space is left for ${path}. Free about 500 MB, or set PENSTOCK_CACHE to a folder on another disk.`, {
        cause: error,
      });
    case 'EROFS':
    case 'EACCES':
    case 'EPERM':
      return new SentenceError(`${path} cannot be written. Make it writable, or set PENSTOCK_CACHE to another folder.`, { cause: error });
    case 'ENOTDIR':
    case 'EEXIST':
      return new SentenceError(`${path} is in the way: a folder is needed there. Remove it, or set PENSTOCK_CACHE to another folder.`, {
        cause: error,
      });
    default:
      return error;
  }
}
