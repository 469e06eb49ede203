/**
 * Calls of SageMaker Runtime by the SDK's client, its configuration, endpoints, credentials, serialisation and errors, but straight: one step after
 * the other. The SDK builds an onion of some dozen functions anew for every call, and looks up in it what never changes, which adds to the time to the
 * first token (docs/decisions/lean-runtime-client.md).
 */
import {
  InvokeEndpoint$,
  InvokeEndpointCommand,
  type InvokeEndpointCommandInput,
  type InvokeEndpointCommandOutput,
  InvokeEndpointWithResponseStream$,
  type InvokeEndpointWithResponseStreamCommandInput,
  type InvokeEndpointWithResponseStreamCommandOutput,
  SageMakerRuntimeClient,
  type SageMakerRuntimeClientConfig,
} from '@aws-sdk/client-sagemaker-runtime';
import { AwsRestJsonProtocol } from '@aws-sdk/core/protocols';
import { getEndpointFromInstructions, toEndpointV1 } from '@smithy/core/endpoints';
import { createFrameMarshaller } from './event-stream-frames.ts';
import { createRequestSigner } from './sign-request.ts';

/** One try each: whoever knows what was delivered tries again. What goes wrong is thrown as the SDK throws it. */
export interface RuntimeClient {
  invoke(input: InvokeEndpointCommandInput, signal: AbortSignal): Promise<InvokeEndpointCommandOutput>;
  invokeStreaming(
    input: InvokeEndpointWithResponseStreamCommandInput,
    signal: AbortSignal,
  ): Promise<InvokeEndpointWithResponseStreamCommandOutput>;
  close(): void;
}

/** What the client is called in AWS's own logs. */
const USER_AGENT = 'penstock aws-sdk-js';
const SERVICE = 'sagemaker';
/** AWS refuses signatures that are five minutes old. */
const CLOCK_TOLERANCE_MS = 4 * 60_000;

export function createRuntimeClient(options: SageMakerRuntimeClientConfig): RuntimeClient {
  const client = new SageMakerRuntimeClient({
    protocol: RuntimeProtocol,
    eventStreamSerdeProvider: createFrameMarshaller,
    ...options,
  });
  const { config } = client;
  const protocol = config.protocol as RuntimeProtocol;
  const sign = createRequestSigner();
  let found: Surroundings | undefined;

  async function call<Output extends InvokeEndpointCommandOutput | InvokeEndpointWithResponseStreamCommandOutput>(
    schema: typeof InvokeEndpoint$,
    input: object,
    abortSignal: AbortSignal,
  ): Promise<Output> {
    found ??= await findSurroundings(client);
    const { context, region } = found;
    const operation = { namespace: schema[1], name: schema[2], traits: schema[3], input: schema[4], output: schema[5] };
    const request = await protocol.serializeRequest(operation, input, context);
    request.headers['host'] = hostOf(request);
    request.headers['user-agent'] = USER_AGENT;
    const signed = sign(request, await config.credentials(), region, SERVICE, new Date(Date.now() + config.systemClockOffset));
    const { response } = await config.requestHandler.handle(signed, { abortSignal });
    try {
      return await protocol.deserializeResponse<Output>(operation, context, response);
    } catch (error) {
      correctClock(config, response);
      throw error;
    }
  }

  return {
    invoke: (input, signal) => call(InvokeEndpoint$, input, signal),
    invokeStreaming: (input, signal) => call(InvokeEndpointWithResponseStream$, input, signal),
    close: () => client.destroy(),
  };
}

/** What is the same at every call of a client. */
interface Surroundings {
  readonly region: string;
  readonly context: Parameters<AwsRestJsonProtocol['serializeRequest']>[2];
}

async function findSurroundings({ config }: SageMakerRuntimeClient): Promise<Surroundings> {
  const region = await config.region();
  const endpoint = toEndpointV1(await getEndpointFromInstructions({}, InvokeEndpointCommand, config));
  return { region, context: { ...config, endpoint: async () => endpoint } };
}

function hostOf({ hostname, port }: { readonly hostname: string; readonly port?: number | undefined }): string {
  return port === undefined ? hostname : `${hostname}:${port}`;
}

/** A machine whose clock is wrong signs by the service's from its first refusal on. */
function correctClock(config: { systemClockOffset: number }, { headers }: { readonly headers: Readonly<Record<string, string>> }): void {
  const offset = Date.parse(headers['date'] ?? '') - Date.now();
  if (Math.abs(offset - config.systemClockOffset) >= CLOCK_TOLERANCE_MS) config.systemClockOffset = offset;
}

/** The SDK has Node look up the reader of event streams for each answer, file by file. */
class RuntimeProtocol extends AwsRestJsonProtocol {
  #capability: ReturnType<AwsRestJsonProtocol['loadEventStreamCapability']> | undefined;

  protected override loadEventStreamCapability() {
    this.#capability ??= super.loadEventStreamCapability();
    return this.#capability;
  }
}
