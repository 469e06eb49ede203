import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSignatureV4, scopeName, sha256 } from '../../../layers/network/signature-v4.ts';

const scope = {
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
  region: 'us-east-1',
  service: 'iam',
  date: '20150830T123600Z',
};

const segment = fc.oneof(fc.constantFrom('', '.', '..', 'a b', '%41', "it's(1)*!", 'ä'), fc.webSegment());
const headerValue = fc.stringMatching(/^[ \t]{0,3}[\x21-\x7e]{0,8}[ \t]{0,3}[\x21-\x7e]{0,8}[ \t]{0,2}$/);
const query = fc.dictionary(fc.string({ minLength: 1, maxLength: 4, unit: 'grapheme-ascii' }), fc.string({ maxLength: 6 }), {
  noNullPrototype: true,
});

describe('a signature', () => {
  // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html, and AWS's test suite of 2015
  it('is the one of AWS’s own example', () => {
    const headers = {
      'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
      host: 'iam.amazonaws.com',
      'x-amz-date': scope.date,
    };
    const request = { method: 'GET', path: '/', query: 'Action=ListUsers&Version=2010-05-08', headers, payloadHash: sha256('') };
    expect(createSignatureV4()(request, scope)).toBe('5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7');
    expect(scopeName(scope)).toBe('20150830/us-east-1/iam/aws4_request');
  });

  it('is the one of the SDK’s signer, whatever path, query, headers and body are', async () => {
    const sign = createSignatureV4();
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { maxLength: 4 }),
        query,
        fc.dictionary(fc.stringMatching(/^x-[a-z][a-z0-9-]{0,6}$/), headerValue, { maxKeys: 5, noNullPrototype: true }),
        fc.uint8Array({ maxLength: 40 }),
        fc.record({
          secretAccessKey: fc.string({ minLength: 1, maxLength: 8 }),
          region: fc.constantFrom('us-east-1', 'cn-north-1'),
          at: fc.date({ min: new Date('2000-01-01'), max: new Date('2099-12-31'), noInvalidDate: true }),
        }),
        async (segments, parameters, given, body, { secretAccessKey, region, at }) => {
          const path = `/${segments.join('/')}`;
          const sdk = new SignatureV4({
            credentials: { accessKeyId: 'AKID', secretAccessKey },
            region,
            service: 'sagemaker',
            sha256: Sha256,
          });
          const request = {
            method: 'POST',
            protocol: 'https:',
            hostname: 'h',
            path,
            query: parameters,
            headers: { ...given, host: 'h' },
            body,
          };
          const { headers } = await sdk.sign(request, { signingDate: at });
          const [, names = '', expected = ''] = /SignedHeaders=([^,]*), Signature=(\w+)$/.exec(headers['authorization'] ?? '') ?? [];
          const signed = Object.fromEntries(names.split(';').map((name) => [name, headers[name] ?? '']));
          const sent = {
            method: 'POST',
            path,
            query: new URLSearchParams(parameters).toString(),
            headers: signed,
            payloadHash: sha256(body),
          };
          const date = headers['x-amz-date'] ?? '';
          expect(sign(sent, { secretAccessKey, region, service: 'sagemaker', date })).toBe(expected);
        },
      ),
    );
  });
});
