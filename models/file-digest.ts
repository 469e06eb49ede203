/** SHA-256 of files: what we fetched or wrote is known by it. */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';

const CHUNK_BYTES = 1 << 20;

/** @returns sha256 in hexadecimal. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await using file = await open(path);
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  for (let { bytesRead } = await file.read(chunk); bytesRead > 0; { bytesRead } = await file.read(chunk)) {
    hash.update(chunk.subarray(0, bytesRead));
    signal?.throwIfAborted();
  }
  return hash.digest('hex');
}

/** Whether the file is there with this length and digest. */
export async function isIntact(path: string, { bytes, sha256 }: { readonly bytes: number; readonly sha256: string }): Promise<boolean> {
  return (await sizeOf(path)) === bytes && (await hashFile(path)) === sha256;
}

/** -1 when it is not there. */
export async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => -1,
  );
}
