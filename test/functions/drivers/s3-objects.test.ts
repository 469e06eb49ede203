import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createS3Objects } from '../../../functions/drivers/s3-objects.ts';
import { StoreUnavailableError } from '../../../functions/gateway/errors.ts';
import { freePort } from '../../../models/local/free-port.ts';
import { testObjects } from '../../contracts/objects.ts';
import { type Moto, startMoto } from '../../support/moto.ts';

const BUCKET = 'answers';
const TEXT = { contentType: 'text/plain' };
const bytes = (text: string) => new TextEncoder().encode(text);

describe('S3 objects', () => {
  let moto: Moto;
  beforeAll(async () => {
    moto = await startMoto();
    await new S3Client({ ...moto.client, forcePathStyle: true }).send(new CreateBucketCommand({ Bucket: BUCKET }));
  }, 300_000);
  afterAll(() => moto.stop());

  testObjects(() => createS3Objects(BUCKET, { ...moto.client, forcePathStyle: true }), 10);

  it('say that the store is not available when the bucket does not exist', async () => {
    const objects = createS3Objects('no-such-bucket', { ...moto.client, forcePathStyle: true });
    await expect(objects.read('key')).rejects.toThrow(StoreUnavailableError);
    await expect(objects.write('key', bytes('x'), TEXT)).rejects.toThrow(StoreUnavailableError);
    await expect(objects.delete('key')).rejects.toMatchObject({ store: 'the bucket no-such-bucket' });
  });

  it('say so when nobody answers', async () => {
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    const objects = createS3Objects(BUCKET, { ...moto.client, endpoint, forcePathStyle: true, maxAttempts: 1 });
    await expect(objects.read('key')).rejects.toThrow(StoreUnavailableError);
  });
});

type Answer = (response: ServerResponse) => void;

const error =
  (status: number, code: string): Answer =>
  (response) =>
    response
      .writeHead(status, { 'content-type': 'application/xml' })
      .end(`<Error><Code>${code}</Code><Message>As S3 says it</Message></Error>`);
const content: Answer = (response) => response.writeHead(200, { 'content-length': 5, etag: '"1"' }).end('whole');
const written: Answer = (response) => response.writeHead(200, { etag: '"1"' }).end();
/** The connection breaks before the body is whole. */
const cut: Answer = (response) => {
  response.writeHead(200, { 'content-length': 5, etag: '"1"' });
  response.write('who', () => response.destroy());
};

/** S3 on a bad day: these answers one after the other, the last one from then on. The forms: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
async function onABadDay(...answers: Answer[]) {
  let calls = 0;
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    const answer = answers[Math.min(calls, answers.length - 1)];
    calls += 1;
    answer?.(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server's address is an object
  const objects = createS3Objects(BUCKET, {
    endpoint,
    forcePathStyle: true,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
  return {
    objects,
    calls: () => calls,
    [Symbol.dispose]: () => {
      objects.close();
      server.closeAllConnections();
      server.close();
    },
  };
}

describe('S3 objects on a bad day', () => {
  it.each([
    ['throttled', error(503, 'SlowDown')],
    ['failing', error(500, 'InternalError')],
    ['closing connections', (response: ServerResponse) => response.destroy()],
  ])('try again when S3 is %s', async (_, bad) => {
    using day = await onABadDay(bad, bad, content);
    expect(await day.objects.read('key')).toEqual(bytes('whole'));
    expect(day.calls()).toBe(3);
  });

  it('give up after four tries', async () => {
    using day = await onABadDay(error(503, 'SlowDown'));
    await expect(day.objects.read('key')).rejects.toThrow(StoreUnavailableError);
    expect(day.calls()).toBe(4);
  });

  it('do not try again, and do not say that nothing is there, when access is denied', async () => {
    using day = await onABadDay(error(403, 'AccessDenied'));
    await expect(day.objects.read('key')).rejects.toMatchObject({ name: 'StoreUnavailableError', cause: { name: 'AccessDenied' } });
    await expect(day.objects.write('key', bytes('x'), { ...TEXT, onlyIfAbsent: true })).rejects.toThrow(StoreUnavailableError);
    expect(day.calls()).toBe(2);
  });

  it('never give half of an object', async () => {
    using day = await onABadDay(cut);
    await expect(day.objects.read('key')).rejects.toThrow(StoreUnavailableError);
  });

  it('write again when another one writes the same key just now', async () => {
    using day = await onABadDay(error(409, 'ConditionalRequestConflict'), error(409, 'ConditionalRequestConflict'), written);
    expect(await day.objects.write('key', bytes('x'), { ...TEXT, onlyIfAbsent: true })).toBe(true);
    using lost = await onABadDay(error(409, 'ConditionalRequestConflict'), error(412, 'PreconditionFailed'));
    expect(await lost.objects.write('key', bytes('x'), { ...TEXT, onlyIfAbsent: true })).toBe(false);
    using never = await onABadDay(error(409, 'ConditionalRequestConflict'));
    await expect(never.objects.write('key', bytes('x'), { ...TEXT, onlyIfAbsent: true })).rejects.toThrow(StoreUnavailableError);
    expect(never.calls()).toBe(5);
  });

  it('take a write that S3 refuses for what it is', async () => {
    using day = await onABadDay(error(412, 'PreconditionFailed'));
    await expect(day.objects.write('key', bytes('x'), TEXT)).rejects.toThrow(StoreUnavailableError);
  });
});
