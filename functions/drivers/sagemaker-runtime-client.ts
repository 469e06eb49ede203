/**
 * The SDK's client for SageMaker Runtime without what an invocation has no use for: what the SDK does anew for each call (the name it calls itself by,
 * a retry token for the only try, a signer with its key, a module that is looked up on the disk) adds to the time to the first token
 * (docs/decisions/lean-runtime-client.md).
 */
import { SageMakerRuntimeClient, type SageMakerRuntimeClientConfig } from '@aws-sdk/client-sagemaker-runtime';
import { AwsRestJsonProtocol } from '@aws-sdk/core/protocols';
import { HttpRequest } from '@smithy/core/protocols';
import { createFrameMarshaller } from './event-stream-frames.ts';
import { createRequestSigner } from './sign-request.ts';

/** What the client is called in AWS's own logs. */
const USER_AGENT = 'penstock aws-sdk-js';

export function createRuntimeClient(config: SageMakerRuntimeClientConfig): SageMakerRuntimeClient {
  const sign = createRequestSigner();
  const client: SageMakerRuntimeClient = new SageMakerRuntimeClient({
    maxAttempts: 1,
    protocol: RuntimeProtocol,
    eventStreamSerdeProvider: createFrameMarshaller,
    signer: {
      async sign(request, { signingDate, signingRegion, signingService } = {}) {
        const region = signingRegion ?? (await client.config.region());
        const date = new Date(signingDate ?? Date.now());
        return sign(request, await client.config.credentials(), region, signingService ?? 'sagemaker', date);
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
