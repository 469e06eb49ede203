import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { HeadObjectCommand, NotFound, type S3Client } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { hashFile } from '../file-digest.ts';

export interface UploadFolderOptions {
  readonly client: S3Client;
  readonly folder: string;
  readonly bucket: string;
  /** Ends with a slash: the folder's files lie below it under their own names. */
  readonly prefix: string;
  /** @param fraction of all bytes, 0 to 1. */
  readonly onProgress?: (fraction: number, file: string) => void;
}

/** Files that were sent, and those that lay there already, the same to the byte. */
export interface UploadSummary {
  readonly uploaded: readonly string[];
  readonly unchanged: readonly string[];
}

/**
 * Copies a folder with a model's weights into the bucket that its endpoint reads. Large files go in parts; what is there already is not
 * sent again, so that an upload that broke is simply made again.
 * @throws when the folder has no file, or AWS refuses.
 */
export async function uploadFolder({ client, folder, bucket, prefix, onProgress }: UploadFolderOptions): Promise<UploadSummary> {
  const files = await listFiles(folder);
  if (files.length === 0) throw new Error(`${folder} has no file. Name the folder that holds the model's config.json and weights.`);
  const total = files.reduce((sum, file) => sum + file.bytes, 0);
  const uploaded: string[] = [];
  const unchanged: string[] = [];
  let done = 0;
  for (const { path, name, bytes } of files) {
    const key = prefix + name;
    const sha256 = await hashFile(path);
    if (await isThere(client, bucket, key, bytes, sha256)) {
      unchanged.push(name);
    } else {
      const upload = new Upload({ client, params: { Bucket: bucket, Key: key, Body: createReadStream(path), Metadata: { sha256 } } });
      upload.on('httpUploadProgress', ({ loaded = 0 }) => onProgress?.((done + loaded) / total, name));
      await upload.done();
      uploaded.push(name);
    }
    done += bytes;
    onProgress?.(total === 0 ? 1 : done / total, name);
  }
  return { uploaded, unchanged };
}

async function listFiles(folder: string): Promise<{ path: string; name: string; bytes: number }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const files = paths.map(async (path) => ({ path, name: relative(folder, path).split(sep).join('/'), bytes: (await stat(path)).size }));
  return (await Promise.all(files)).sort((one, other) => (one.name < other.name ? -1 : 1));
}

async function isThere(client: S3Client, Bucket: string, Key: string, bytes: number, sha256: string): Promise<boolean> {
  try {
    const head = await client.send(new HeadObjectCommand({ Bucket, Key }));
    return head.ContentLength === bytes && head.Metadata?.['sha256'] === sha256;
  } catch (error) {
    if (error instanceof NotFound) return false;
    throw error;
  }
}
