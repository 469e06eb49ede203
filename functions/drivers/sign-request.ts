import { HttpRequest } from '@smithy/core/protocols';
import { createSignatureV4, scopeName, sha256 } from '../../layers/network/signature-v4.ts';

export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Not signed: proxies on the way may change them. */
const UNSIGNED = new Set(['user-agent', 'x-amzn-trace-id']);

type Unsigned = ConstructorParameters<typeof HttpRequest>[0] & Pick<HttpRequest, 'method' | 'path'>;
type RequestSigner = (request: Unsigned, credentials: AwsCredentials, region: string, service: string, date: Date) => HttpRequest;

/** Signs requests to AWS whose body is text or bytes, and whose URL has no query: all of their headers but those of a proxy, and the body. */
export function createRequestSigner(): RequestSigner {
  const sign = createSignatureV4();
  return function signRequest(request, { accessKeyId, secretAccessKey, sessionToken }, region, service, signedAt) {
    const date = signedAt.toISOString().replace(/[-:]|\.\d+/g, '');
    const scope = { secretAccessKey, region, service, date };
    const body: unknown = request.body;
    const payloadHash = sha256(typeof body === 'string' || body instanceof Uint8Array ? body : '');
    const headers: Record<string, string> = { ...request.headers, 'x-amz-date': date, 'x-amz-content-sha256': payloadHash };
    if (sessionToken !== undefined) headers['x-amz-security-token'] = sessionToken;
    const signed = Object.fromEntries(Object.entries(headers).filter(([name]) => !UNSIGNED.has(name)));
    const signature = sign({ method: request.method, path: request.path, query: '', headers: signed, payloadHash }, scope);
    const names = Object.keys(signed).sort().join(';');
    headers['authorization'] =
      `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scopeName(scope)}, SignedHeaders=${names}, Signature=${signature}`;
    return new HttpRequest({ ...request, headers });
  };
}
