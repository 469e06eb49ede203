/**
 * Calls of AWS services that take JSON by POST (Smithy's awsJson 1.0 and 1.1), put together from the SDK's own parts: its HTTP handler,
 * credentials, settings and retries. The SDK's clients for these services bring schemas of every operation along, a tenth of the gateway's
 * bundle and a sixth of its CPU at a cold start; their types are used, their code is not.
 * https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
 */
import { partition } from '@aws-sdk/core/client';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import { loadConfig, NODE_REGION_CONFIG_FILE_OPTIONS, NODE_REGION_CONFIG_OPTIONS } from '@smithy/core/config';
import { HttpRequest, type HttpResponse } from '@smithy/core/protocols';
import { isThrottlingError, isTransientError, StandardRetryStrategy } from '@smithy/core/retry';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import { CALL_TIMEOUTS, MAX_ATTEMPTS } from './aws-call-limits.ts';
import { type AwsCredentials, createRequestSigner } from './sign-request.ts';

export interface AwsJsonService {
  /** As endpoints and signatures name it: `dynamodb`. */
  readonly name: string;
  /** Before the region in its own host name, where that is not the name. */
  readonly host?: string;
  /** What stands before the operation in `x-amz-target`. */
  readonly target: string;
  readonly version: '1.0' | '1.1';
}

/** Laid over the SDK's ordinary configuration (environment, profile, role), which is enough by itself. */
export interface AwsClientOptions {
  readonly endpoint?: string;
  readonly region?: string;
  readonly credentials?: AwsCredentials;
  /** Tries of one call, the first included. */
  readonly maxAttempts?: number;
}

export interface AwsJsonClient {
  /** @throws {AwsError} the service refused. Whatever else is thrown is the network's, or missing configuration. */
  call<Output>(operation: string, input: object): Promise<Output>;
  close(): void;
}

/** What a service answered instead of an output: `name` is its code. */
export class AwsError extends Error {
  override readonly name: string;
  /** As the SDK's rules for retries look for it. */
  readonly $metadata: { readonly httpStatusCode: number };
  /** What came with the code. */
  readonly fields: Readonly<Record<string, unknown>>;
  constructor(code: string, message: string, statusCode: number, fields: Readonly<Record<string, unknown>>) {
    super(message);
    this.name = code;
    this.$metadata = { httpStatusCode: statusCode };
    this.fields = fields;
  }
}

/** As the SDK pauses first of DynamoDB's calls. */
const FIRST_PAUSE_MS = 25;
const MAX_SOCKETS = 256;

export function createAwsJsonClient(service: AwsJsonService, options: AwsClientOptions = {}): AwsJsonClient {
  const findRegion = loadConfig(NODE_REGION_CONFIG_OPTIONS, NODE_REGION_CONFIG_FILE_OPTIONS);
  const region = async () => options.region ?? (await findRegion());
  const endpoint = createEndpointProvider(service, options.endpoint, region);
  const findCredentials = defaultProvider();
  const credentials = async () => options.credentials ?? (await findCredentials());
  const sign = createRequestSigner();
  const agent = { keepAlive: true, maxSockets: MAX_SOCKETS };
  const http = new NodeHttpHandler({
    ...CALL_TIMEOUTS,
    httpAgent: agent,
    httpsAgent: agent,
  });
  const retries = new StandardRetryStrategy({ maxAttempts: options.maxAttempts ?? MAX_ATTEMPTS, baseDelay: FIRST_PAUSE_MS });

  async function callOnce(operation: string, body: string): Promise<unknown> {
    const { protocol, hostname, port, host, pathname } = await endpoint();
    const request = new HttpRequest({
      method: 'POST',
      protocol,
      hostname,
      ...(port === '' ? {} : { port: Number(port) }),
      path: pathname,
      headers: {
        host,
        'content-type': `application/x-amz-json-${service.version}`,
        'content-length': String(Buffer.byteLength(body)),
        'x-amz-target': `${service.target}.${operation}`,
      },
      body,
    });
    const { response } = await http.handle(sign(request, await credentials(), await region(), service.name, new Date()));
    return readAnswer(response);
  }

  return {
    async call<Output>(operation: string, input: object): Promise<Output> {
      const body = JSON.stringify(input);
      for (let token = await retries.acquireInitialRetryToken(service.name); ; ) {
        try {
          const output = await callOnce(operation, body);
          retries.recordSuccess(token);
          return output as Output; // AWS's own model of the operation, by the caller's word
        } catch (error) {
          if (!(error instanceof Error)) throw error;
          const errorType = isThrottlingError(sdkError(error))
            ? 'THROTTLING'
            : isTransientError(sdkError(error))
              ? 'TRANSIENT'
              : 'CLIENT_ERROR';
          token = await retries.refreshRetryTokenForRetry(token, { errorType }).catch(() => {
            throw error;
          });
        }
      }
    },
    close: () => http.destroy(),
  };
}

/** An endpoint by the settings that the SDK reads too, or AWS's own name for the service. Looked up once. */
function createEndpointProvider(
  { name, host = name }: AwsJsonService,
  given: string | undefined,
  region: () => Promise<string>,
): () => Promise<URL> {
  const findUrl = loadConfig<string | undefined>({
    environmentVariableSelector: (env) =>
      env[`AWS_ENDPOINT_URL_${ENVIRONMENT_NAMES[name] ?? name.toUpperCase()}`] ?? env['AWS_ENDPOINT_URL'],
    configFileSelector: (profile) => profile['endpoint_url'],
    default: undefined,
  });
  let url: Promise<URL> | undefined;
  const find = async () => {
    const set = given ?? (await findUrl());
    if (set !== undefined) return new URL(set);
    return serviceUrl(host, await region());
  };
  return () => {
    url ??= find();
    return url;
  };
}

/** What AWS calls a service in a region, in every partition: `https://dynamodb.cn-north-1.amazonaws.com.cn`. */
export function serviceUrl(name: string, region: string): URL {
  return new URL(`https://${name}.${region}.${partition(region).dnsSuffix}`);
}

/** Where the SDK's name for a setting is not the name of the endpoint. */
const ENVIRONMENT_NAMES: Readonly<Record<string, string>> = { secretsmanager: 'SECRETS_MANAGER' };

async function readAnswer({ statusCode, headers, body }: HttpResponse): Promise<unknown> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body as AsyncIterable<Uint8Array>) chunks.push(chunk); // Node's handler gives a Readable
  const answer = parseObject(Buffer.concat(chunks).toString('utf8'));
  if (answer !== undefined && statusCode < 300) return answer;
  const code = answer?.['__type'] ?? answer?.['code'] ?? headers['x-amzn-errortype'];
  const message = answer?.['message'] ?? answer?.['Message'];
  throw new AwsError(
    typeof code === 'string' ? shortCode(code) : 'UnknownError',
    typeof message === 'string' ? message : `HTTP status ${statusCode}`,
    statusCode < 300 ? 502 : statusCode, // an answer that is cut short is the connection's fault
    answer ?? {},
  );
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  if (text === '') return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch {
    return undefined; // a proxy's page
  }
}

/** `com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException:http://…` is called by its middle. */
function shortCode(code: string): string {
  return code.replace(/:.*$/s, '').replace(/^.*#/s, '');
}

/** The SDK's rules read an error's name, code and status, whatever its class. */
function sdkError(error: Error): Parameters<typeof isThrottlingError>[0] {
  return error as Parameters<typeof isThrottlingError>[0]; // $fault, which its type has too, is not read
}
