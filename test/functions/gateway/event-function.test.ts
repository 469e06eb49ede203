import { createHash, generateKeyPairSync } from 'node:crypto';
import { copyFile, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLocalJWKSet, jwtVerify } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleFunction } from '../../../functions/bundle.ts';
import { createOpenApiDocument } from '../../../functions/gateway/openai/openapi.ts';
import { renderDocsPage } from '../../../functions/gateway/openai/openapi-page.ts';
import { BUNDLE_FILE, codeCacheFile } from '../../../functions/load-bundle.ts';
import manifest from '../../../package.json' with { type: 'json' };
import { BUNDLE_BUDGET } from '../../support/bundle-budget.ts';
import { TEST_KEY } from '../../support/gateway.ts';
import { functionUrlEvent } from '../../support/lambda-runtime-api.ts';
import { type RunningFunction, runLambdaFunction } from '../../support/run-lambda-function.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION, type TestRuntime } from '../../support/sagemaker-runtime.ts';
import { replayThen, type ScriptedContainer, startScriptedContainer } from '../../support/scripted-container.ts';
import { loadRecording, recordedChoices } from '../../support/vllm-recordings.ts';

/** The bundle that is deployed, in front of the real SDK, our SageMaker runtime and a recorded container. */
const ORIGIN_SECRET = 'what-the-cdn-adds';
const recording = loadRecording('stream-length');
const texts = recordedChoices(recording).map((choice) => choice.text);

let folder: string;
let container: ScriptedContainer;
let runtime: TestRuntime;
let running: RunningFunction;
let environment: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-event-function-'));
  const bytes = await bundleFunction('event-function', folder);
  expect(bytes).toBeLessThanOrEqual(BUNDLE_BUDGET);
  container = await startScriptedContainer();
  runtime = await startTestRuntime({
    endpoints: { 'penstock-gpt': { inferenceComponents: { 'smollm2-135m-instruct': { containers: [container.url] } } } },
  });
  environment = {
    AWS_REGION: TEST_REGION,
    AWS_ACCESS_KEY_ID: TEST_CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: TEST_CREDENTIALS.secretAccessKey,
    AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME: runtime.url,
    PENSTOCK_API_KEY_HASHES: sha256(TEST_KEY),
    PENSTOCK_ORIGIN_SECRET_SHA256: sha256(ORIGIN_SECRET),
    MAX_WAITING: '0', // what fails is told at once
    MAX_RETRIES: '0',
    PENSTOCK_TOKENIZERS: fileURLToPath(new URL('../../../models/tokenizers', import.meta.url)),
    PENSTOCK_SAFETY_WEIGHTS: fileURLToPath(new URL('../../../models/safety/weights/linear-heads.bin', import.meta.url)),
  };
  running = await runLambdaFunction(folder, environment);
});

afterAll(async () => {
  await running?.stop();
  await runtime?.[Symbol.asyncDispose]();
  await container?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const headers = { 'content-type': 'application/json', authorization: `Bearer ${TEST_KEY}`, 'x-penstock-origin': ORIGIN_SECRET };
const complete = (fields: object = {}) => {
  const body = {
    model: 'smollm2-135m-instruct',
    prompt: 'The capital of France is',
    max_tokens: 8,
    temperature: 0,
    stream: true,
    ...fields,
  };
  return running.api.invoke(functionUrlEvent('POST', '/v1/completions', { headers, body: JSON.stringify(body) }));
};
const textOf = (body: string) =>
  [...body.matchAll(/^data: (\{.*\})$/gm)].map(([, json = '']) => JSON.parse(json).choices?.[0]?.text ?? '').join('');

describe('the event function', () => {
  it('passes each token on when the container produces it', async () => {
    const turns = texts.map(() => Promise.withResolvers<void>());
    container.play(
      replayThen(recording, 0, async (response) => {
        for (const [index, chunk] of recording.chunks.entries()) {
          await turns[index]?.promise;
          response.write(chunk);
        }
        response.end();
      }),
    );
    const invocation = complete();
    // Each token is let out only after the one before it has reached Lambda: an answer that is held back never ends.
    for (const [index, text] of texts.slice(0, 3).entries()) {
      turns[index]?.resolve();
      const expected = texts.slice(0, index + 1).join('');
      await invocation.until((body) => textOf(body) === expected);
      expect(text).not.toBe('');
    }
    for (const turn of turns) turn.resolve();
    const { body, prelude, failure } = await invocation.end();
    expect(failure).toBeUndefined();
    expect(prelude.statusCode).toBe(200);
    expect(prelude.headers['content-type']).toContain('text/event-stream');
    expect(Object.keys(prelude.headers)).not.toEqual(expect.arrayContaining(['connection']));
    expect(Object.keys(prelude.headers)).not.toEqual(expect.arrayContaining(['transfer-encoding']));
    expect(textOf(body)).toBe(texts.join(''));
    expect(body.endsWith('data: [DONE]\n\n')).toBe(true);
  });

  it('answers a base64 body, and a whole answer', async () => {
    container.play(replayThen(recording, recording.chunks.length, (response) => void response.end()));
    const body = JSON.stringify({ model: 'smollm2-135m-instruct', prompt: 'The capital of France is', max_tokens: 8, temperature: 0 });
    const event = functionUrlEvent('POST', '/v1/completions', {
      headers,
      body: Buffer.from(body).toString('base64'),
      isBase64Encoded: true,
    });
    const answer = await running.api.invoke(event).end();
    expect(JSON.parse(answer.body).choices[0].text).toBe(texts.join(''));
  });

  it('keeps the status of what fails before the first token', async () => {
    await runtime.setFaults({ kind: 'throttling' });
    const { prelude, body } = await complete().end();
    await runtime.setFaults();
    expect(prelude.statusCode).toBe(429);
    expect(JSON.parse(body).error).toMatchObject({ code: 'endpoint_overloaded' });
  });

  it('ends a stream that breaks with an error event and no [DONE]', async () => {
    container.play(replayThen(recording, 3, (response) => void response.destroy()));
    const { prelude, body, failure } = await complete().end();
    expect(failure).toBeUndefined();
    expect(prelude.statusCode).toBe(200);
    expect(body).toContain('"error"');
    expect(body).not.toContain('[DONE]');
  });

  it('stops the container when Lambda closes the stream', async () => {
    container.play(replayThen(recording, 2, () => new Promise<void>(() => undefined)));
    const invocation = complete();
    await invocation.until((body) => textOf(body) !== '');
    invocation.breakStream();
    await container.requests.at(-1)?.abandoned;
  });

  it('ends with an error event before Lambda would cut it, and stops the container', async () => {
    container.play(replayThen(recording, 2, () => new Promise<void>(() => undefined)));
    const body = JSON.stringify({ model: 'smollm2-135m-instruct', prompt: 'The capital of France is', max_tokens: 8, stream: true });
    const invocation = running.api.invoke(functionUrlEvent('POST', '/v1/completions', { headers, body }), 3000);
    await invocation.end();
    expect(invocation.body).toContain('"code":"deadline_exceeded"');
    expect(invocation.body).not.toContain('[DONE]');
    await container.requests.at(-1)?.abandoned;
  });

  const call = async (method: string, path: string, body?: object) =>
    running.api.invoke(functionUrlEvent(method, path, { headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })).end();

  it('describes the API as its sources do, although it was bundled without them', async () => {
    const document = createOpenApiDocument(manifest.version);
    expect(JSON.parse((await call('GET', '/openapi.json')).body)).toEqual(JSON.parse(JSON.stringify(document)));
    expect((await call('GET', '/docs')).body).toBe(renderDocsPage(JSON.parse(JSON.stringify(document))));
  });

  it('has what is needed now and then in files that are read only then', async () => {
    // Examples of libphonenumber's own, and one that no numbering plan has.
    const input = ['Call +41 44 668 18 00 today', 'Call +49 30 123456 today', 'Call +999 44 668 18 00 today'];
    const { results } = JSON.parse((await call('POST', '/v1/moderations', { input })).body);
    expect(results.map(({ spans }: { spans: { kind: string }[] }) => spans.map(({ kind }) => kind))).toEqual([['phone'], ['phone'], []]);
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const minted = JSON.parse((await call('POST', '/v1/client_secrets', { device_key: publicKey.export({ format: 'jwk' }) })).body);
    const keys = JSON.parse((await call('GET', '/.well-known/jwks.json')).body);
    expect((await jwtVerify(minted.value, createLocalJWKSet(keys))).payload.iss).toBe('penstock');
    expect(await readdir(folder)).toEqual(expect.arrayContaining(['index.mjs', 'jose.cjs', 'libphonenumber-js.cjs']));
  });

  it('starts from its code cache, and as well without one that is damaged or of another V8', async () => {
    const copy = await mkdtemp(join(tmpdir(), 'penstock-code-cache-'));
    for (const name of ['index.mjs', BUNDLE_FILE]) await copyFile(join(folder, name), join(copy, name));
    const cache = await readFile(join(folder, codeCacheFile()));
    const start = async () => {
      const started = await runLambdaFunction(copy, environment);
      const { prelude } = await started.api.invoke(functionUrlEvent('GET', '/v1/models', { headers })).end();
      await started.stop();
      return { status: prelude.statusCode, warnings: started.log().match(/code-cache-\w+/g) };
    };
    expect(await start()).toEqual({ status: 200, warnings: null });
    await writeFile(join(copy, codeCacheFile()), cache);
    expect(await start()).toEqual({ status: 200, warnings: null });
    const ofAnotherVersion = cache.map((byte, index) => (index >= 4 && index < 8 ? byte ^ 1 : byte)); // after V8's magic number
    await writeFile(join(copy, codeCacheFile()), ofAnotherVersion);
    expect(await start()).toEqual({ status: 200, warnings: ['code-cache-rejected'] });
    await writeFile(join(copy, codeCacheFile()), cache.subarray(0, cache.length >> 1));
    expect(await start()).toEqual({ status: 200, warnings: ['code-cache-rejected'] });
    await rename(join(copy, codeCacheFile()), join(copy, `${BUNDLE_FILE}.mips-1.cache`));
    expect(await start()).toEqual({ status: 200, warnings: ['code-cache-missing'] });
    await rm(copy, { recursive: true });
  });

  it('answers nobody who comes round the CDN', async () => {
    const { prelude } = await running.api
      .invoke(functionUrlEvent('GET', '/v1/models', { headers: { authorization: headers.authorization } }))
      .end();
    expect(prelude.statusCode).toBe(403);
  });

  it('says at its start what is wrong with its settings', async () => {
    const broken = await runLambdaFunction(folder, { ...environment, PENSTOCK_API_KEY_HASHES: '', MAX_BODY_BYTES: 'big' });
    const failure = await broken.api.initFailure;
    await broken.stop();
    expect(failure.errorMessage).toContain('PENSTOCK_API_KEY_HASHES');
    expect(failure.errorMessage).toContain('MAX_BODY_BYTES');
  });

  it('writes no prompt, completion or key into its log, also when a stream breaks', async () => {
    container.play(replayThen(recording, 3, (response) => void response.destroy()));
    await complete().end();
    expect(running.log()).toContain('stream-failed');
    for (const secret of ['capital of France', 'Paris', TEST_KEY, ORIGIN_SECRET]) expect(running.log()).not.toContain(secret);
  });
});

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
