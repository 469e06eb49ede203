import { once } from 'node:events';
import { createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One permission that a call needed: `dynamodb:GetItem` on `table/penstock`. */
export interface AwsCall {
  readonly action: string;
  /** The resource's part of its ARN. */
  readonly resource: string;
}

export interface CallRecorder extends AsyncDisposable {
  /** For `AWS_ENDPOINT_URL`. */
  readonly url: string;
  readonly calls: readonly AwsCall[];
}

/**
 * Stands between an AWS client and what answers it, and keeps what each call would need permission for. Requests go on unchanged, so
 * signatures stay good.
 * @param upstreams URL by service, as signatures name it; `*` for the others.
 */
export async function recordAwsCalls(upstreams: Readonly<Record<string, string>>): Promise<CallRecorder> {
  const calls: AwsCall[] = [];
  const server = createServer(async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const service = /Credential=[^/]+\/\d+\/[^/]+\/([^/]+)\//.exec(incoming.headers.authorization ?? '')?.[1] ?? 'unsigned';
    if (service !== 's3') calls.push(...readCalls(service, incoming, body));
    const upstream = new URL(upstreams[service] ?? upstreams['*'] ?? '');
    const forward = httpRequest(
      { host: upstream.hostname, port: upstream.port, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (answer) => {
        if (service === 's3') calls.push(...readObjectCalls(incoming, answer.statusCode ?? 0));
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        outgoing.flushHeaders();
        answer.pipe(outgoing);
      },
    );
    forward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => forward.destroy());
    forward.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}`,
    calls,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function readCalls(service: string, { headers, url = '' }: IncomingMessage, body: Buffer): AwsCall[] {
  const [, operation = 'unknown'] = String(headers['x-amz-target'] ?? '').split('.');
  if (service === 'sagemaker' && operation === 'unknown') return readEndpointCalls(headers, url);
  const input = JSON.parse(body.toString());
  if (service === 'sagemaker') {
    const { EndpointName, InferenceComponentName } = input;
    const resource = InferenceComponentName === undefined ? `endpoint/${EndpointName}` : `inference-component/${InferenceComponentName}`;
    return [{ action: `sagemaker:${operation}`, resource }];
  }
  if (service === 'secretsmanager')
    return [{ action: `secretsmanager:${operation}`, resource: String(input.SecretId).replace(/^arn:.*:secret:/, 'secret:') }];
  if (service === 'sqs') return [{ action: `sqs:${operation}`, resource: String(input.QueueUrl).replace(/^.*\//, '') }];
  if (service === 'kms') return [{ action: `kms:${operation}`, resource: String(input.KeyId).replace(/^arn:.*:(?=key\/)/, '') }];
  if (service === 'ssm') return [{ action: `ssm:${operation}`, resource: `parameter${input.Name}` }];
  if (service !== 'dynamodb') return [{ action: `${service}:${operation}`, resource: '*' }];
  // A transaction needs what its parts need: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html
  if (operation !== 'TransactWriteItems') return [{ action: `dynamodb:${operation}`, resource: `table/${input.TableName}` }];
  return input.TransactItems.flatMap((item: Record<string, { TableName: string }>) =>
    Object.entries(item).map(([kind, { TableName }]) => ({
      action: `dynamodb:${kind === 'ConditionCheck' ? 'ConditionCheckItem' : `${kind}Item`}`,
      resource: `table/${TableName}`,
    })),
  );
}

/**
 * Without permission to list the bucket S3 does not say that a key is missing. Objects are encrypted by a key of KMS, which S3 asks in the caller's name:
 * `BUCKET_KEY` stands for it. https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
 */
function readObjectCalls({ method = '', url = '' }: IncomingMessage, status: number): AwsCall[] {
  const [, bucket = '', key = ''] = /^\/([^/?]+)\/([^?]*)/.exec(url) ?? [];
  const object = {
    action: `s3:${{ GET: 'GetObject', PUT: 'PutObject', DELETE: 'DeleteObject' }[method] ?? method}`,
    resource: `${bucket}/${key}`,
  };
  const encryption = { GET: 'kms:Decrypt', PUT: 'kms:GenerateDataKey' }[method];
  return [
    object,
    ...(status === 404 ? [{ action: 's3:ListBucket', resource: bucket }] : []),
    ...(encryption === undefined || status === 404 ? [] : [{ action: encryption, resource: BUCKET_KEY }]),
  ];
}

/** The resource of the key that encrypts buckets. */
export const BUCKET_KEY = 'key/of-the-bucket';

const INVOCATIONS: Readonly<Record<string, string>> = {
  invocations: 'InvokeEndpoint',
  'invocations-response-stream': 'InvokeEndpointWithResponseStream',
  'async-invocations': 'InvokeEndpointAsync',
};

/** Permission is needed for the endpoint, and for the inference component when the call names one. */
function readEndpointCalls(headers: IncomingMessage['headers'], url: string): AwsCall[] {
  const [, endpoint = '', operation = ''] = /^\/endpoints\/([^/]+)\/([a-z-]+)$/.exec(url) ?? [];
  const action = `sagemaker:${INVOCATIONS[operation] ?? operation}`;
  const component = headers['x-amzn-sagemaker-inference-component'];
  return [
    { action, resource: `endpoint/${endpoint}` },
    ...(component === undefined ? [] : [{ action, resource: `inference-component/${component}` }]),
  ];
}
