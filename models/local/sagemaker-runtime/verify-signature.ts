/**
 * Signature Version 4, checked as AWS checks it: the signature is computed again from the bytes that were received.
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
import { timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { createSignatureV4, sha256 } from '../../../layers/network/signature-v4.ts';
import type { Credentials } from './config.ts';
import { RuntimeError } from './runtime-error.ts';

const SERVICE = 'sagemaker';
const PAYLOAD_HASH_HEADER = 'x-amz-content-sha256';
/** AWS accepts a request for five minutes to either side of its date. */
const MAX_SKEW_MS = 5 * 60_000;
/** Must be signed, or a proxy could change what was asked without breaking the signature. */
const ALWAYS_SIGNED = ['host', 'x-amz-date'];

const MISMATCH =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';

/** @throws {RuntimeError} 403, with AWS's names and sentences. */
export function verifySignature(
  request: IncomingMessage,
  body: Uint8Array,
  expected: { readonly credentials: Credentials; readonly region: string },
  now: number,
): void {
  const claim = parseAuthorization(request.headers.authorization);
  const { credentials, region } = expected;
  if (claim.accessKeyId !== credentials.accessKeyId || header(request, 'x-amz-security-token') !== credentials.sessionToken) {
    throw new RuntimeError('UnrecognizedClientException', 'The security token included in the request is invalid.');
  }
  if (claim.service !== SERVICE || claim.region !== region) {
    const wrong = claim.service === SERVICE ? 'a valid region.' : `correct service: '${SERVICE}'.`;
    throw new RuntimeError('InvalidSignatureException', `Credential should be scoped to ${wrong}`);
  }
  const signedAt = parseDate(header(request, 'x-amz-date'));
  if (claim.day !== header(request, 'x-amz-date')?.slice(0, 8)) {
    throw new RuntimeError(
      'InvalidSignatureException',
      'Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.',
    );
  }
  if (Math.abs(now - signedAt) > MAX_SKEW_MS) {
    const age = signedAt < now ? 'expired' : 'not yet current';
    throw new RuntimeError(
      'InvalidSignatureException',
      `Signature ${age}: ${new Date(signedAt).toISOString()} is not within 5 min. of ${new Date(now).toISOString()}.`,
    );
  }
  const unsigned = ALWAYS_SIGNED.filter((name) => !claim.signedHeaders.includes(name));
  if (unsigned.length > 0)
    throw new RuntimeError('InvalidSignatureException', `'${unsigned[0]}' must be a 'SignedHeader' in the AWS Authorization.`);

  const payloadHash = sha256(body);
  const headers = Object.fromEntries(claim.signedHeaders.map((name) => [name, header(request, name) ?? '']));
  // Of the bytes that arrived, whatever the caller says they hash to.
  if (PAYLOAD_HASH_HEADER in headers) headers[PAYLOAD_HASH_HEADER] = payloadHash;
  const { method = 'GET', url = '/' } = request;
  const [path = ''] = url.split('?', 1);
  const received = { method, path, query: url.slice(path.length + 1), headers, payloadHash };
  const date = header(request, 'x-amz-date') ?? '';
  const signature = sign(received, { secretAccessKey: credentials.secretAccessKey, region, service: SERVICE, date });
  if (!timingSafeEqual(Buffer.from(signature, 'hex'), Buffer.from(claim.signature, 'hex'))) {
    throw new RuntimeError('InvalidSignatureException', MISMATCH);
  }
}

const sign = createSignatureV4();

interface Claim {
  readonly accessKeyId: string;
  readonly day: string;
  readonly region: string;
  readonly service: string;
  readonly signedHeaders: readonly string[];
  readonly signature: string;
}

function parseAuthorization(value: string | undefined): Claim {
  if (value === undefined) throw new RuntimeError('MissingAuthenticationTokenException', 'Missing Authentication Token');
  const match =
    /^AWS4-HMAC-SHA256 Credential=(\w{3,128})\/(\d{8})\/([a-z0-9-]+)\/([a-z0-9-]+)\/aws4_request, ?SignedHeaders=([a-z0-9;_-]+), ?Signature=([0-9a-f]{64})$/.exec(
      value,
    );
  if (match === null) {
    throw new RuntimeError('IncompleteSignatureException', 'The Authorization header is not a complete AWS4-HMAC-SHA256 signature.');
  }
  const [, accessKeyId = '', day = '', region = '', service = '', signedHeaders = '', signature = ''] = match;
  return { accessKeyId, day, region, service, signedHeaders: signedHeaders.split(';'), signature };
}

function parseDate(value: string | undefined): number {
  const time =
    value === undefined ? Number.NaN : Date.parse(value.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
  if (Number.isNaN(time)) throw new RuntimeError('IncompleteSignatureException', 'The x-amz-date header is missing or not a date.');
  return time;
}

function header(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}
