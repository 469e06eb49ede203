/**
 * The SDK's client for SageMaker Runtime without what an invocation has no use for. What the SDK does anew for each call (the name it calls itself by,
 * a retry token for the only try, a signer with its key, a module that is looked up on the disk) is a third of what the gateway adds to the time to
 * the first token (docs/decisions/lean-runtime-client.md has the figures).
 */
import { SageMakerRuntimeClient, type SageMakerRuntimeClientConfig } from '@aws-sdk/client-sagemaker-runtime';
import { AwsRestJsonProtocol } from '@aws-sdk/core/protocols';
import { HttpRequest } from '@smithy/core/protocols';
import { createSignatureV4, scopeName, sha256 } from '../../layers/network/signature-v4.ts';
import { createFrameMarshaller } from './event-stream-frames.ts';

/** What the client is called in AWS's own logs. */
const USER_AGENT = 'penstock aws-sdk-js';

/** Not signed: proxies on the way may change them. */
const UNSIGNED = new Set(['user-agent', 'x-amzn-trace-id']);

export function createRuntimeClient(config: SageMakerRuntimeClientConfig): SageMakerRuntimeClient {
  const sign = createSignatureV4();
  const client: SageMakerRuntimeClient = new SageMakerRuntimeClient({
    maxAttempts: 1,
    protocol: RuntimeProtocol,
    eventStreamSerdeProvider: createFrameMarshaller,
    signer: {
      async sign(request, { signingDate, signingRegion, signingService } = {}) {
        const { accessKeyId, secretAccessKey, sessionToken } = await client.config.credentials();
        const region = signingRegion ?? (await client.config.region());
        const service = signingService ?? 'sagemaker';
        const date = new Date(signingDate ?? Date.now()).toISOString().replace(/[-:]|\.\d+/g, '');
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
      },
    },
    ...config,
  });
  const { middlewareStack } = client;
  middlewareStack.remove('loggerMiddleware');
  middlewareStack.remove('getUserAgentMiddleware');
  middlewareStack.add(
    (next) => (args) => {
      if (HttpRequest.isInstance(args.request)) args.request.headers['user-agent'] = USER_AGENT;
      return next(args);
    },
    { step: 'build', name: 'userAgent' },
  );
  // Whoever knows what was delivered tries again. The name stays: the signature has its place after it.
  middlewareStack.remove('retryMiddleware');
  middlewareStack.add((next) => next, { step: 'finalizeRequest', name: 'retryMiddleware' });
  return client;
}

/** The SDK has Node look up the reader of event streams for each answer, file by file. */
class RuntimeProtocol extends AwsRestJsonProtocol {
  #capability: ReturnType<AwsRestJsonProtocol['loadEventStreamCapability']> | undefined;

  protected override loadEventStreamCapability() {
    this.#capability ??= super.loadEventStreamCapability();
    return this.#capability;
  }
}
