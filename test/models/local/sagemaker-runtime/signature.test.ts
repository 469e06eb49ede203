import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION, type TestRuntime } from '../../../support/sagemaker-runtime.ts';
import { type ScriptedContainer, startScriptedContainer } from '../../../support/scripted-container.ts';

let container: ScriptedContainer;
let runtime: TestRuntime;

beforeAll(async () => {
  container = await startScriptedContainer();
  container.play((response) => void response.end('{}'));
  runtime = await startTestRuntime({ endpoints: { gpt: { containers: [container.url] } } });
});
afterAll(async () => {
  await runtime[Symbol.asyncDispose]();
  await container[Symbol.asyncDispose]();
});

const PATH = '/endpoints/gpt/invocations';

interface Signing {
  readonly credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  readonly region?: string;
  readonly service?: string;
  readonly date?: Date;
  readonly withPayloadHash?: boolean;
}

async function sign(body: string, signing: Signing = {}): Promise<Record<string, string>> {
  const signer = new SignatureV4({
    credentials: signing.credentials ?? TEST_CREDENTIALS,
    region: signing.region ?? TEST_REGION,
    service: signing.service ?? 'sagemaker',
    sha256: Sha256,
    applyChecksum: signing.withPayloadHash ?? true,
  });
  const url = new URL(runtime.url);
  const headers = { host: url.host, 'content-type': 'application/json' };
  const request = { method: 'POST', protocol: url.protocol, hostname: url.hostname, path: PATH, headers, body };
  const signed = await signer.sign(request, { signingDate: signing.date ?? new Date() });
  return signed.headers;
}

async function post(headers: Record<string, string>, body: string): Promise<{ status: number; type: string | null; message: string }> {
  const { host: _host, ...sent } = headers;
  const response = await fetch(`${runtime.url}${PATH}`, { method: 'POST', headers: sent, body });
  const text = await response.text();
  return { status: response.status, type: response.headers.get('x-amzn-errortype'), message: JSON.parse(text).message ?? '' };
}

describe('the signature of a request', () => {
  it.each([true, false])('is accepted when it is right (payload hash in a header: %s)', async (withPayloadHash) => {
    expect(await post(await sign('{"a":1}', { withPayloadHash }), '{"a":1}')).toMatchObject({ status: 200 });
  });

  it.each<[string, Signing, string, RegExp]>([
    ['another secret', { credentials: { ...TEST_CREDENTIALS, secretAccessKey: 'other' } }, 'InvalidSignatureException', /does not match/],
    ['an unknown key', { credentials: { ...TEST_CREDENTIALS, accessKeyId: 'AKIDOTHER' } }, 'UnrecognizedClientException', /security token/],
    [
      'a session token that is not ours',
      { credentials: { ...TEST_CREDENTIALS, sessionToken: 't' } },
      'UnrecognizedClientException',
      /security token/,
    ],
    ['another region', { region: 'eu-west-1' }, 'InvalidSignatureException', /scoped to a valid region/],
    ['another service', { service: 'bedrock' }, 'InvalidSignatureException', /correct service: 'sagemaker'/],
    ['a clock that is late', { date: new Date(Date.now() - 6 * 60_000) }, 'InvalidSignatureException', /Signature expired/],
    ['a clock that is early', { date: new Date(Date.now() + 6 * 60_000) }, 'InvalidSignatureException', /not yet current/],
  ])('is refused for %s', async (_, signing, type, message) => {
    expect(await post(await sign('{}', signing), '{}')).toEqual({ status: 403, type, message: expect.stringMatching(message) });
  });

  it.each([true, false])('is refused when the body was changed on the way (payload hash in a header: %s)', async (withPayloadHash) => {
    expect(await post(await sign('{"a":1}', { withPayloadHash }), '{"a":2}')).toMatchObject({
      status: 403,
      type: 'InvalidSignatureException',
    });
  });

  it('is refused when a signed header was changed on the way', async () => {
    const headers = { ...(await sign('{}')), 'content-type': 'text/plain' };
    expect(await post(headers, '{}')).toMatchObject({ status: 403, type: 'InvalidSignatureException' });
  });

  it('is refused when the date is not signed', async () => {
    const headers = await sign('{}');
    headers['authorization'] = headers['authorization']?.replace(';x-amz-date', '') ?? '';
    expect(await post(headers, '{}')).toMatchObject({ status: 403, type: 'InvalidSignatureException' });
  });

  it('is missed', async () => {
    expect(await post({}, '{}')).toMatchObject({ status: 403, type: 'MissingAuthenticationTokenException' });
    expect(await post({ authorization: 'Bearer sk-local' }, '{}')).toMatchObject({ status: 403, type: 'IncompleteSignatureException' });
    const { 'x-amz-date': _, ...dateless } = await sign('{}');
    expect(await post(dateless, '{}')).toMatchObject({ status: 403, type: 'IncompleteSignatureException' });
  });

  it('lets nothing through to the container when it is refused', async () => {
    const before = container.requests.length;
    await post(await sign('{}', { region: 'eu-west-1' }), '{}');
    expect(container.requests).toHaveLength(before);
  });
});
