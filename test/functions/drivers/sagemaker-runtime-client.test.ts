import { Readable } from 'node:stream';
import {
  InvokeEndpointCommand,
  InvokeEndpointWithResponseStreamCommand,
  SageMakerRuntimeClient,
  type SageMakerRuntimeClientConfig,
} from '@aws-sdk/client-sagemaker-runtime';
import { type HttpRequest, HttpResponse } from '@smithy/core/protocols';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRuntimeClient } from '../../../functions/drivers/sagemaker-runtime-client.ts';
import { startTestRuntime, TEST_CREDENTIALS } from '../../support/sagemaker-runtime.ts';
import { startScriptedContainer } from '../../support/scripted-container.ts';

const signal = new AbortController().signal;

/** Answers every request with nothing, and keeps it. */
function createRecorder() {
  const requests: HttpRequest[] = [];
  return {
    requests,
    handler: {
      async handle(request: HttpRequest) {
        requests.push(request);
        const headers = { 'content-type': 'application/vnd.amazon.eventstream' };
        return { response: new HttpResponse({ statusCode: 200, headers, body: Readable.from([]) }) };
      },
    },
  };
}

/** Told by each client in its own way, or of the moment. */
const OWN = new Set([
  'authorization',
  'x-amz-date',
  'user-agent',
  'x-amz-user-agent',
  'amz-sdk-invocation-id',
  'amz-sdk-request',
  'content-length',
]);

function describeRequest({ method, protocol, hostname, port, path, query, headers, body }: HttpRequest) {
  const told = Object.entries(headers).filter(([name]) => !OWN.has(name));
  return { method, protocol, hostname, port, path, query, headers: Object.fromEntries(told), body: Buffer.from(body).toString('hex') };
}

const name = fc.stringMatching(/^[a-zA-Z0-9]([a-zA-Z0-9-]{0,10}[a-zA-Z0-9])?$/);
const text = fc.stringMatching(/^[\x21-\x7e]{1,20}$/);
const input = fc.record(
  {
    EndpointName: name,
    Body: fc.uint8Array({ minLength: 1, maxLength: 50 }),
    ContentType: fc.constant('application/json'),
    InferenceComponentName: name,
    TargetVariant: name,
    InferenceId: text,
    SessionId: text,
    PrefixAwareId: text,
  },
  { requiredKeys: ['EndpointName', 'Body'] },
);
const settings = fc.record<SageMakerRuntimeClientConfig>(
  {
    region: fc.constantFrom('us-east-1', 'eu-central-1', 'us-gov-west-1', 'cn-north-1'),
    endpoint: fc.constantFrom(
      'http://127.0.0.1:8081',
      'https://gateway.example/below',
      'https://vpce-1.runtime.sagemaker.us-east-1.vpce.amazonaws.com',
    ),
    useFipsEndpoint: fc.constant(false),
  },
  { requiredKeys: ['region'] },
);

describe('the client of SageMaker Runtime', () => {
  it('asks what the SDK’s own asks, at the same address', async () => {
    await fc.assert(
      fc.asyncProperty(settings, input, fc.boolean(), async (config, asked, streams) => {
        const { handler, requests } = createRecorder();
        const options = { ...config, credentials: { ...TEST_CREDENTIALS }, requestHandler: handler } as SageMakerRuntimeClientConfig;
        const sdks = new SageMakerRuntimeClient(options);
        const ours = createRuntimeClient(options);
        await (streams ? sdks.send(new InvokeEndpointWithResponseStreamCommand(asked)) : sdks.send(new InvokeEndpointCommand(asked)));
        await (streams ? ours.invokeStreaming(asked, signal) : ours.invoke(asked, signal));
        const [expected, request] = requests.map(describeRequest);
        expect(request).toEqual(expected);
      }),
    );
  });

  it('looks again for a region that was not there', async () => {
    const { handler } = createRecorder();
    let tries = 0;
    const region = async () => {
      tries += 1;
      if (tries === 1) throw new Error('Region is missing');
      return 'eu-central-1';
    };
    const client = createRuntimeClient({
      region,
      credentials: { ...TEST_CREDENTIALS },
      requestHandler: handler,
    } as SageMakerRuntimeClientConfig);
    const asked = { EndpointName: 'gpt', Body: Buffer.from('{}') };
    await expect(client.invoke(asked, signal)).rejects.toThrow('Region is missing');
    await expect(client.invoke(asked, signal)).resolves.toMatchObject({ $metadata: { httpStatusCode: 200 } });
  });

  it.each([-600_000, 600_000])(
    'on a clock that is %d ms wrong, signs by the service’s from the first refusal on',
    async (systemClockOffset) => {
      await using container = await startScriptedContainer();
      await using runtime = await startTestRuntime({ endpoints: { gpt: { containers: [container.url] } } });
      const client = createRuntimeClient({ ...runtime.client, systemClockOffset });
      const asked = { EndpointName: 'gpt', Body: Buffer.from('{}'), ContentType: 'application/json' };
      await expect(client.invoke(asked, signal)).rejects.toThrow(/^Signature (expired|not yet current)/);
      await expect(client.invoke(asked, signal)).rejects.not.toThrow(/^Signature/);
      client.close();
    },
  );
});
