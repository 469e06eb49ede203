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
    calls.push(...readCalls(service, incoming, body));
    const upstream = new URL(upstreams[service] ?? upstreams['*'] ?? '');
    const forward = httpRequest(
      { host: upstream.hostname, port: upstream.port, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (answer) => {
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
  if (service === 'sagemaker') return readEndpointCalls(headers, url);
  const [, operation = 'unknown'] = String(headers['x-amz-target'] ?? '').split('.');
  const input = JSON.parse(body.toString());
  if (service === 'secretsmanager')
    return [{ action: `secretsmanager:${operation}`, resource: String(input.SecretId).replace(/^arn:.*:secret:/, 'secret:') }];
  if (service === 'sqs') return [{ action: `sqs:${operation}`, resource: String(input.QueueUrl).replace(/^.*\//, '') }];
  if (service === 'kms') return [{ action: `kms:${operation}`, resource: String(input.KeyId).replace(/^arn:.*:(?=key\/)/, '') }];
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

/** Permission is needed for the endpoint, and for the inference component when the call names one. */
function readEndpointCalls(headers: IncomingMessage['headers'], url: string): AwsCall[] {
  const [, endpoint = '', operation = ''] = /^\/endpoints\/([^/]+)\/([a-z-]+)$/.exec(url) ?? [];
  const action = `sagemaker:${operation === 'invocations' ? 'InvokeEndpoint' : 'InvokeEndpointWithResponseStream'}`;
  const component = headers['x-amzn-sagemaker-inference-component'];
  return [
    { action, resource: `endpoint/${endpoint}` },
    ...(component === undefined ? [] : [{ action, resource: `inference-component/${component}` }]),
  ];
}
