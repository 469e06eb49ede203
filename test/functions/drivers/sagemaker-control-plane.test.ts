import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { InvokeEndpointCommand, SageMakerRuntimeClient } from '@aws-sdk/client-sagemaker-runtime';
import { afterAll, describe, expect, it } from 'vitest';
import { serviceUrl } from '../../../functions/drivers/aws-json-client.ts';
import { createSageMakerControlPlane } from '../../../functions/drivers/sagemaker-control-plane.ts';
import { freePort } from '../../../models/local/free-port.ts';
import { testControlPlane } from '../../contracts/control-plane.ts';
import { startTestRuntime, TEST_CREDENTIALS, TEST_REGION, type TestRuntime } from '../../support/sagemaker-runtime.ts';

const containers = ['http://127.0.0.1:1', 'http://127.0.0.1:2'];

describe('control plane of SageMaker, by the local runtime', () => {
  const runtimes: TestRuntime[] = [];
  afterAll(async () => {
    for (const runtime of runtimes) await runtime[Symbol.asyncDispose]();
  });
  testControlPlane(async () => {
    const runtime = await startTestRuntime({
      endpoints: {
        gpt: {
          inferenceComponents: { warm: { containers }, cold: { containers, copies: 0, loadSeconds: 600, scaleUpWhenRefused: true } },
        },
        plain: { containers: ['http://127.0.0.1:1'] },
      },
    });
    runtimes.push(runtime);
    const client = { endpoint: runtime.url, region: TEST_REGION, credentials: TEST_CREDENTIALS };
    const target = (inferenceComponent: string) => ({ endpointName: 'gpt', inferenceComponent });
    return {
      controlPlane: createSageMakerControlPlane(client),
      served: target('warm'),
      asleep: target('cold'),
      async wake() {
        const caller = new SageMakerRuntimeClient({ ...runtime.client, maxAttempts: 1 });
        const call = new InvokeEndpointCommand({ EndpointName: 'gpt', InferenceComponentName: 'cold', Body: Buffer.from('{}') });
        await expect(caller.send(call)).rejects.toThrow('no capacity');
        caller.destroy();
      },
      plain: { endpointName: 'plain' },
      missing: [target('nobody'), { endpointName: 'nobody' }],
      unreachable: createSageMakerControlPlane({ ...client, endpoint: `http://127.0.0.1:${await freePort()}`, maxAttempts: 1 }),
    };
  });
});

/** SageMaker's own words, as its API reference has them. */
async function answering(status: number, body: object, at: (target: string) => void = () => undefined) {
  const server = createServer(async (request, response) => {
    for await (const _ of request);
    at(`${request.headers['x-amz-target']} ${request.headers.authorization?.replace(/.*\/(\w+\/aws4_request).*/, '$1')}`);
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`; // a TCP server's address is an object
  return {
    controlPlane: createSageMakerControlPlane({ endpoint, region: TEST_REGION, credentials: TEST_CREDENTIALS, maxAttempts: 1 }),
    [Symbol.dispose]: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

describe('control plane of SageMaker', () => {
  const target = { endpointName: 'gpt', inferenceComponent: 'base' };

  it('says why a component failed', async () => {
    const calls: string[] = [];
    using aws = await answering(
      200,
      {
        InferenceComponentName: 'base',
        InferenceComponentStatus: 'Failed',
        FailureReason: 'InsufficientInstanceCapacity: no ml.g6.xlarge',
        RuntimeConfig: { CurrentCopyCount: 0, DesiredCopyCount: 1 },
        LastModifiedTime: 1_764_200_000.25,
      },
      (call) => calls.push(call),
    );
    expect(await aws.controlPlane.describe(target)).toEqual({
      status: 'Failed',
      failure: 'InsufficientInstanceCapacity: no ml.g6.xlarge',
      copies: { running: 0, wanted: 1 },
      changedAt: 1_764_200_000_250,
    });
    expect(calls).toEqual(['SageMaker.DescribeInferenceComponent sagemaker/aws4_request']);
  });

  it('tells an adapter, which has no copies of its own', async () => {
    using aws = await answering(200, { InferenceComponentName: 'lora', InferenceComponentStatus: 'InService' });
    expect(await aws.controlPlane.describe({ ...target, adapter: 'lora' })).toEqual({ status: 'InService' });
  });

  it('counts the instances of a variant, or of all', async () => {
    const variant = (VariantName: string, current: number, wanted: number) => ({
      VariantName,
      CurrentInstanceCount: current,
      DesiredInstanceCount: wanted,
    });
    using aws = await answering(200, { EndpointStatus: 'Updating', ProductionVariants: [variant('blue', 2, 2), variant('green', 0, 1)] });
    expect(await aws.controlPlane.describe({ endpointName: 'gpt' })).toEqual({ status: 'Updating', copies: { running: 2, wanted: 3 } });
    const green = await aws.controlPlane.describe({ endpointName: 'gpt', variant: 'green' });
    expect(green).toEqual({ status: 'Updating', copies: { running: 0, wanted: 1 } });
  });

  it.each([
    [
      'access is denied',
      400,
      { __type: 'AccessDeniedException', Message: 'not authorized to perform: sagemaker:DescribeInferenceComponent' },
    ],
    ['it has had too many calls', 400, { __type: 'ThrottlingException', message: 'Rate exceeded' }],
    ['its answer has another shape', 200, { InferenceComponentStatus: 7 }],
  ])('does not say that nothing is there when %s', async (_, status, body) => {
    using aws = await answering(status, body);
    await expect(aws.controlPlane.describe(target)).rejects.toMatchObject({ name: 'EndpointUnavailableError', reason: 'unreachable' });
  });

  it('is at the address that AWS gives it in each region', () => {
    // https://docs.aws.amazon.com/general/latest/gr/sagemaker.html
    expect(serviceUrl('api.sagemaker', 'eu-west-1').href).toBe('https://api.sagemaker.eu-west-1.amazonaws.com/');
    expect(serviceUrl('api.sagemaker', 'cn-north-1').href).toBe('https://api.sagemaker.cn-north-1.amazonaws.com.cn/');
  });
});
