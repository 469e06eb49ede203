import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BUNDLES_FOLDER, bundleEntry } from '../../functions/bundle.ts';
import { BUNDLE_FILE } from '../../functions/load-bundle.ts';

const LEFT_OUT = 'This bundle holds no code for signatures, dates and streams of the SDK.';
const run = promisify(execFile);

/** Inside the project, where packages are found. */
let folder: string;
beforeAll(async () => {
  await mkdir(BUNDLES_FOLDER, { recursive: true });
  folder = await mkdtemp(join(BUNDLES_FOLDER, 'test-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function bundle(name: string, code: string): Promise<string> {
  const entry = join(folder, `${name}.ts`);
  await writeFile(entry, code);
  const file = join(folder, name, 'index.mjs');
  await bundleEntry(entry, file);
  return file;
}

const codeOf = (file: string) => readFile(join(dirname(file), BUNDLE_FILE), 'utf8');

async function serve(answer: RequestListener): Promise<{ url: string; paths: string[] } & Disposable> {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    answer(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, paths, [Symbol.dispose]: () => void server.close() };
}

describe('a bundle', () => {
  it('is without signatures, dates and streams only where the SDK’s one client needs none', async () => {
    const lean = await bundle('sagemaker', "export { SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';");
    expect(await codeOf(lean)).toContain(LEFT_OUT);
    const whole = await bundle('s3', "export { S3Client, GetObjectCommand } from '@aws-sdk/client-s3';");
    expect(await codeOf(whole)).not.toContain(LEFT_OUT);
    using server = await serve((_, response) => {
      response.writeHead(200, { 'last-modified': 'Wed, 21 Oct 2015 07:28:00 GMT', connection: 'close' }).end('bytes');
    });
    const { S3Client, GetObjectCommand } = await import(pathToFileURL(whole).href);
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
    const client = new S3Client({ endpoint: server.url, region: 'eu-west-1', credentials, forcePathStyle: true });
    const { LastModified, Body } = await client.send(new GetObjectCommand({ Bucket: 'b', Key: 'k' }));
    expect(LastModified).toEqual(new Date('2015-10-21T07:28:00Z'));
    expect(await Body.transformToString()).toBe('bytes');
  });

  it('exports what its entry does, also after waiting, by its own names and by others', async () => {
    const file = await bundle(
      'exports',
      'const late = await Promise.resolve(1); export const $one = late; export { late as two, $one as three };',
    );
    expect({ ...(await import(pathToFileURL(file).href)) }).toEqual({ $one: 1, two: 1, three: 1 });
    const silent = await bundle('silent', "console.log('loaded ' + import.meta.url); export {};");
    expect((await run(process.execPath, [silent])).stdout).toBe(`loaded ${pathToFileURL(silent).href}\n`);
  });

  it('loads of Node what it calls, and not what that offers besides', async () => {
    const file = await bundle(
      'builtins',
      "import { request } from 'node:http'; import { inspect } from 'util'; console.log(typeof request, typeof inspect);",
    );
    const loaded = `await import(${JSON.stringify(pathToFileURL(file).href)}); console.log(process.moduleLoadList.filter((name) => /undici|http2/.test(name)).length)`;
    expect((await run(process.execPath, ['--input-type=module', '--eval', loaded])).stdout).toBe('function function\n0\n');
  });

  it('takes credentials from the environment and from nowhere else', async () => {
    const file = await bundle(
      'credentials',
      `import { createAwsJsonClient } from '../../../functions/drivers/aws-json-client.ts';
const client = createAwsJsonClient({ name: 'dynamodb', target: 'DynamoDB_20120810', version: '1.0' }, { maxAttempts: 1 });
console.log(await client.call('GetItem', {}).then(() => 'called', (error: Error) => error.name));`,
    );
    using service = await serve((_, response) => void response.writeHead(200, { connection: 'close' }).end('{}'));
    using metadata = await serve((_, response) => void response.writeHead(404, { connection: 'close' }).end());
    const profiles = join(folder, 'profiles');
    await writeFile(profiles, '[default]\naws_access_key_id = a\naws_secret_access_key = b\nregion = eu-west-1\n');
    const nowhere = {
      AWS_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL: service.url,
      AWS_SHARED_CREDENTIALS_FILE: profiles,
      AWS_CONFIG_FILE: profiles,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.url,
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${metadata.url}/credentials`,
    };
    const call = async (environment: Record<string, string>) => (await run(process.execPath, [file], { env: environment })).stdout.trim();
    expect(await call(nowhere)).toBe('CredentialsProviderError');
    expect(metadata.paths).toEqual([]);
    expect(await call({ ...nowhere, AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' })).toBe('called');
    expect(service.paths).toEqual(['/']);
  });
});
