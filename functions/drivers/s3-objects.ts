import {
  DeleteObjectCommand,
  GetObjectCommand,
  NoSuchKey,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
  S3ServiceException,
} from '@aws-sdk/client-s3';
import { StoreUnavailableError } from '../gateway/errors.ts';
import type { Objects } from '../gateway/services/objects.ts';
import { CALL_TIMEOUTS, MAX_ATTEMPTS } from './aws-call-limits.ts';

/** Somebody else writes this key just now: S3 asks to try again, and its SDK does not. */
const CONFLICT_TRIES = 5;
const CONFLICT_PAUSE_MS = 20;

/**
 * Objects in a bucket of S3. Whoever reads keys that may not be there needs `s3:ListBucket` too: without it S3 says "access denied", whatever the
 * key. https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
 * @param options laid over the SDK's ordinary configuration (environment, profile, role), which is enough by itself.
 */
export function createS3Objects(bucket: string, options: S3ClientConfig = {}): Objects {
  const client = new S3Client({
    maxAttempts: MAX_ATTEMPTS, // the SDK waits between them as `standard` says: twice as long each time, drawn at random
    forcePathStyle: true, // the bucket's name in the path, as servers on this machine want it; AWS takes it so, too
    requestHandler: CALL_TIMEOUTS,
    ...options,
  });
  const unavailable = (error: unknown) => new StoreUnavailableError(`the bucket ${bucket}`, { cause: error });
  return {
    async read(key) {
      try {
        const { Body, ContentLength } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array();
        if (ContentLength !== undefined && bytes.length !== ContentLength)
          throw new Error(`only ${bytes.length} of ${ContentLength} bytes came`);
        return bytes;
      } catch (error) {
        if (error instanceof NoSuchKey) return undefined;
        throw unavailable(error);
      }
    },
    async write(key, bytes, { contentType, onlyIfAbsent = false }) {
      const put = new PutObjectCommand({
        Bucket: bucket,
        Key: key,
        Body: bytes,
        ContentType: contentType,
        ...(onlyIfAbsent ? { IfNoneMatch: '*' } : {}),
      });
      for (let tries = 1; ; tries += 1) {
        try {
          await client.send(put);
          return true;
        } catch (error) {
          const status = error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined;
          if (onlyIfAbsent && status === 412) return false;
          if (!onlyIfAbsent || status !== 409 || tries === CONFLICT_TRIES) throw unavailable(error);
        }
        await new Promise((resolve) => setTimeout(resolve, CONFLICT_PAUSE_MS * 2 ** tries * Math.random()));
      }
    },
    async delete(key) {
      try {
        await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }));
      } catch (error) {
        throw unavailable(error);
      }
    },
    close: () => client.destroy(),
  };
}
