import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, NoSuchBucket, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { uploadFolder } from '../../../models/weights/upload-folder.ts';
import { type Moto, startMoto } from '../../support/moto.ts';

const bucket = 'penstock-weights';
let moto: Moto;
let client: S3Client;
let folder: string;

beforeAll(async () => {
  moto = await startMoto();
  client = new S3Client({ ...moto.client, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  folder = await mkdtemp(join(tmpdir(), 'penstock-weights-'));
  await mkdir(join(folder, 'sub'));
  await writeFile(join(folder, 'config.json'), '{}');
  // Above the size from which parts are sent.
  await writeFile(join(folder, 'sub', 'model.safetensors'), Buffer.alloc(6 * 1024 * 1024, 7));
}, 120_000);
afterAll(async () => {
  client?.destroy();
  moto?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('uploadFolder', () => {
  it('puts each file under its own name, large ones in parts, and tells how far it is', async () => {
    const fractions: number[] = [];
    const summary = await uploadFolder({ client, folder, bucket, prefix: 'base/m/', onProgress: (fraction) => fractions.push(fraction) });
    expect(summary).toEqual({ uploaded: ['config.json', 'sub/model.safetensors'], unchanged: [] });
    expect(fractions.at(-1)).toBe(1);
    expect(fractions).toEqual([...fractions].sort((one, other) => one - other));
    const object = await client.send(new GetObjectCommand({ Bucket: bucket, Key: 'base/m/sub/model.safetensors' }));
    expect(Buffer.from((await object.Body?.transformToByteArray()) ?? []).equals(Buffer.alloc(6 * 1024 * 1024, 7))).toBe(true);
  });

  it('sends only what changed the next time', async () => {
    await writeFile(join(folder, 'config.json'), '[]'); // as long as before
    expect(await uploadFolder({ client, folder, bucket, prefix: 'base/m/' })).toEqual({
      uploaded: ['config.json'],
      unchanged: ['sub/model.safetensors'],
    });
  });

  it('refuses an empty folder and a bucket that is not there', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'penstock-empty-'));
    await expect(uploadFolder({ client, folder: empty, bucket, prefix: 'x/' })).rejects.toThrow(/has no file/);
    await rm(empty, { recursive: true });
    await expect(uploadFolder({ client, folder, bucket: 'penstock-nowhere', prefix: 'x/' })).rejects.toThrow(NoSuchBucket);
  });
});
