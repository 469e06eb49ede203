import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AwsError, createAwsJsonClient, serviceUrl } from '../../../functions/drivers/aws-json-client.ts';
import { freePort } from '../../../models/local/free-port.ts';

const DYNAMODB = { name: 'dynamodb', target: 'DynamoDB_20120810', version: '1.0' } as const;
const SECRETS_MANAGER = { name: 'secretsmanager', target: 'secretsmanager', version: '1.1' } as const;
const OPTIONS = { region: 'eu-west-1', credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: 'session' } };

interface Seen {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

let stop: (() => void) | undefined;
afterEach(() => {
  stop?.();
  vi.unstubAllEnvs();
});

const SECRET = { SecretId: 'one' };

/** A service that answers each request in turn as it is told; the last answer is given again. */
async function serve(...answers: RequestListener[]): Promise<{ endpoint: string; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    seen.push({ method: request.method, path: request.url, headers: request.headers, body: Buffer.concat(chunks).toString() });
    answers[Math.min(seen.length, answers.length) - 1]?.(request, response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stop = () => {
    server.closeAllConnections();
    server.close();
  };
  return { endpoint: `http://localhost:${(server.address() as AddressInfo).port}`, seen };
}

const answer =
  (status: number, body: string, headers: Record<string, string> = {}): RequestListener =>
  (_, response) =>
    void response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0', ...headers }).end(body);

const UPDATE = {
  TableName: 'penstock',
  Key: { partition: { S: 'é' }, sort: { S: '🎉' } },
  UpdateExpression: 'ADD #n :n',
  ExpressionAttributeNames: { '#n': 'count' },
  ExpressionAttributeValues: { ':n': { N: '1' } },
};

describe('a request', () => {
  it.each([
    [DYNAMODB, 'UpdateItem', UPDATE, () => new DynamoDBClient(OPTIONS).send(new UpdateItemCommand(UPDATE))],
    [SECRETS_MANAGER, 'GetSecretValue', SECRET, () => new SecretsManagerClient(OPTIONS).send(new GetSecretValueCommand(SECRET))],
  ])("is what the SDK's own client sends: %o", async (service, operation, input, send) => {
    const { endpoint, seen } = await serve(answer(200, '{}'));
    vi.stubEnv('AWS_ENDPOINT_URL', endpoint);
    await send();
    const ours = createAwsJsonClient(service, OPTIONS);
    await ours.call(operation, input);
    ours.close();
    const [theirs, own] = seen;
    for (const name of ['host', 'content-type', 'content-length', 'x-amz-target', 'x-amz-security-token']) {
      expect(own?.headers[name], name).toBe(theirs?.headers[name]);
    }
    expect({ method: own?.method, path: own?.path }).toEqual({ method: theirs?.method, path: theirs?.path });
    expect(JSON.parse(own?.body ?? '')).toEqual(JSON.parse(theirs?.body ?? ''));
  });

  it('is signed as AWS asks: host, date, body, token and target are under the signature', async () => {
    const { endpoint, seen } = await serve(answer(200, '{}'));
    await createAwsJsonClient(DYNAMODB, { ...OPTIONS, endpoint }).call('UpdateItem', UPDATE);
    const { headers, body } = seen[0] as Seen; // the call above
    const { authorization, ...others } = headers;
    const signedNames = /SignedHeaders=([^,]+)/.exec(authorization ?? '')?.[1]?.split(';') ?? [];
    expect(signedNames).toEqual(
      expect.arrayContaining(['host', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token', 'x-amz-target']),
    );
    const signer = new SignatureV4({ service: 'dynamodb', region: OPTIONS.region, credentials: OPTIONS.credentials, sha256: Sha256 });
    const date = String(headers['x-amz-date']).replace(/^(....)(..)(..T..)(..)/, '$1-$2-$3:$4:');
    const again = await signer.sign(
      {
        method: 'POST',
        protocol: 'http:',
        hostname: 'localhost',
        path: '/',
        headers: Object.fromEntries(Object.entries(others).filter(([name]) => signedNames.includes(name)) as [string, string][]),
        body,
      },
      { signingDate: new Date(date) },
    );
    expect(authorization).toBe(again.headers['authorization']);
  });

  it.each(['eu-west-1', 'cn-north-1', 'us-gov-west-1'])("goes in %s to the name that the SDK's rules give", (region) => {
    for (const [service, Client] of [
      ['dynamodb', DynamoDBClient],
      ['secretsmanager', SecretsManagerClient],
    ] as const) {
      const { endpointProvider } = new Client({ ...OPTIONS, region }).config;
      expect(serviceUrl(service, region).href).toBe(endpointProvider({ Region: region }).url.href);
    }
  });

  it('goes where the environment says, and the setting of the one service comes first', async () => {
    const { endpoint, seen } = await serve(answer(200, '{}'));
    vi.stubEnv('AWS_ENDPOINT_URL', `http://127.0.0.1:${await freePort()}`);
    vi.stubEnv('AWS_ENDPOINT_URL_SECRETS_MANAGER', endpoint);
    await createAwsJsonClient(SECRETS_MANAGER, OPTIONS).call('GetSecretValue', { SecretId: 'one' });
    expect(seen).toHaveLength(1);
  });
});

describe('an answer', () => {
  const call = (endpoint: string) => createAwsJsonClient(DYNAMODB, { ...OPTIONS, endpoint }).call('UpdateItem', UPDATE);

  it('is given as it is', async () => {
    const { endpoint } = await serve(answer(200, '{"Attributes":{"count":{"N":"12345678901234567890"}}}'));
    expect(await call(endpoint)).toEqual({ Attributes: { count: { N: '12345678901234567890' } } });
  });

  // The forms of an error's code: https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html#operation-error-serialization
  it.each([
    ['com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException', undefined],
    ['ConditionalCheckFailedException', undefined],
    ['ConditionalCheckFailedException:http://internal.amazon.com/coral/com.amazonaws.dynamodb/', undefined],
    [undefined, 'ConditionalCheckFailedException:http://internal.amazon.com/'],
  ])('that is an error has the name and the fields that the SDK gives it: %s', async (type, header) => {
    const body = JSON.stringify({ __type: type, message: 'The conditional request failed', Item: { n: { N: '1' } } });
    const { endpoint, seen } = await serve(answer(400, body, header === undefined ? {} : { 'x-amzn-errortype': header }));
    const error = await call(endpoint).catch((each: unknown) => each);
    expect(error).toBeInstanceOf(AwsError);
    const sdk = new DynamoDBClient({ ...OPTIONS, endpoint });
    const theirs = await sdk.send(new UpdateItemCommand(UPDATE)).catch((each: unknown) => each);
    sdk.destroy();
    expect(error).toMatchObject({ name: (theirs as Error).name, message: (theirs as Error).message, fields: { Item: { n: { N: '1' } } } });
    expect(seen).toHaveLength(2); // it is not tried again
  });

  it.each([
    ['a server that failed', answer(500, '{"__type":"InternalServerError"}')],
    ['a server that is busy', answer(400, '{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}')],
    ["a proxy's page", answer(503, '<html>busy</html>')],
    ['half an answer', answer(200, '{"Attributes":')],
    ['a connection that breaks', (request) => void request.socket.destroy()],
  ] as [string, RequestListener][])('after %s is asked for again', async (_, fault) => {
    const { endpoint, seen } = await serve(fault, answer(200, '{"Attributes":{}}'));
    expect(await call(endpoint)).toEqual({ Attributes: {} });
    expect(seen).toHaveLength(2);
    expect(seen[1]?.body).toBe(seen[0]?.body);
  });

  it('is given up after four tries, and the last reason is told', async () => {
    const { endpoint, seen } = await serve(answer(500, '{"__type":"InternalServerError","message":"sorry"}'));
    await expect(call(endpoint)).rejects.toMatchObject({ name: 'InternalServerError', message: 'sorry' });
    expect(seen).toHaveLength(4);
  });

  it('that never comes is a connection error', async () => {
    await expect(call(`http://127.0.0.1:${await freePort()}`)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});
