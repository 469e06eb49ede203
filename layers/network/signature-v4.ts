/**
 * AWS Signature Version 4 of a request whose path is not S3's, as https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 * describes it. The SDK's own signer does the same in a dozen asynchronous steps and derives the signing key's name by an HMAC each time; this is
 * one HMAC and one hash beside the body's, which is what is left of a signature on the way to a first token.
 */
import { createHmac, createSecretKey, hash, type KeyObject } from 'node:crypto';

export interface SignedRequest {
  readonly method: string;
  /** As it stands in the request's first line, without its query. */
  readonly path: string;
  /** What stands between `?` and the end, or nothing. */
  readonly query: string;
  /** Those that are signed, under lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body, in hex. */
  readonly payloadHash: string;
}

export interface SigningScope {
  readonly secretAccessKey: string;
  readonly region: string;
  readonly service: string;
  /** `20261127T080910Z` */
  readonly date: string;
}

/** @returns the signature in hex, by a signing key that is derived once a day for each secret, region and service. */
export function createSignatureV4(): (request: SignedRequest, scope: SigningScope) => string {
  let last: { readonly name: string; readonly key: KeyObject } | undefined;
  const keyOf = ({ secretAccessKey, region, service, date }: SigningScope): KeyObject => {
    const name = `${date.slice(0, 8)}/${region}/${service}/${secretAccessKey}`;
    if (last?.name !== name) {
      const key = [date.slice(0, 8), region, service, 'aws4_request'].reduce<string | Buffer>(hmac, `AWS4${secretAccessKey}`);
      // Of bare bytes Node makes a key object for each HMAC, which takes ten times as long as the HMAC.
      last = { name, key: createSecretKey(Buffer.from(key)) };
    }
    return last.key;
  };
  const canonicalPathOf = rememberingTheLast(canonicalPath); // an endpoint has one
  return function sign(request, scope) {
    const canonical = sha256(canonicalRequest(request, canonicalPathOf(request.path)));
    const text = `AWS4-HMAC-SHA256\n${scope.date}\n${scopeName(scope)}\n${canonical}`;
    return createHmac('sha256', keyOf(scope)).update(text).digest('hex');
  };
}

/** `20261127/eu-central-1/sagemaker/aws4_request` */
export function scopeName({ date, region, service }: Omit<SigningScope, 'secretAccessKey'>): string {
  return `${date.slice(0, 8)}/${region}/${service}/aws4_request`;
}

/** In hex. */
export function sha256(data: string | Uint8Array): string {
  return hash('sha256', data, 'hex');
}

function canonicalRequest({ method, query, headers, payloadHash }: SignedRequest, path: string): string {
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${canonicalValue(headers[name] ?? '')}\n`);
  return `${method}\n${path}\n${canonicalQuery(query)}\n${lines.join('')}\n${names.join(';')}\n${payloadHash}`;
}

/** Most have no white space. */
function canonicalValue(value: string): string {
  return /[ \t\r\n]/.test(value) ? value.replace(/[ \t\r\n]+/g, ' ').replace(/^ | $/g, '') : value;
}

/** Without `.`, `..` and empty segments, and escaped once more than on the wire. */
function canonicalPath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  const ending = segments.length > 0 && path.endsWith('/') ? '/' : '';
  return `/${segments.map(escapeText).join('/')}${ending}`;
}

function canonicalQuery(query: string): string {
  if (query === '') return '';
  const pairs = [...new URLSearchParams(query)].map(([name, value]) => [escapeText(name), escapeText(value)] as const);
  return pairs
    .sort(([name, value], [otherName, otherValue]) => compare(name, otherName) || compare(value, otherValue))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** By code units: what was escaped is ASCII. */
function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}

/** RFC 3986: everything but unreserved characters. */
function escapeText(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

function hmac(key: string | Buffer, data: string): Buffer {
  return createHmac('sha256', key).update(data).digest();
}

function rememberingTheLast(make: (text: string) => string): (text: string) => string {
  let last: { readonly text: string; readonly made: string } | undefined;
  return (text) => {
    if (last?.text !== text) last = { text, made: make(text) };
    return last.made;
  };
}
