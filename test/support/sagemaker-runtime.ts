import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { SageMakerRuntimeClientConfig } from '@aws-sdk/client-sagemaker-runtime';
import { parseRuntimeConfig, type RuntimeConfigInput } from '../../models/local/sagemaker-runtime/config.ts';
import { type FaultPlanInput, parseFaultPlan } from '../../models/local/sagemaker-runtime/faults.ts';
import { createRuntimeServer } from '../../models/local/sagemaker-runtime/server.ts';

export const TEST_REGION = 'us-east-1';
export const TEST_CREDENTIALS = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret-of-the-test' };

export interface TestRuntime extends AsyncDisposable {
  readonly url: string;
  /** For an SDK client that this runtime accepts. */
  readonly client: SageMakerRuntimeClientConfig;
  setFaults(...faults: FaultPlanInput['faults']): Promise<void>;
}

/** The local SageMaker runtime on a free port. */
export async function startTestRuntime(config: Omit<RuntimeConfigInput, 'region' | 'credentials'>): Promise<TestRuntime> {
  const server = createRuntimeServer(parseRuntimeConfig({ region: TEST_REGION, credentials: { ...TEST_CREDENTIALS }, ...config }));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    client: { endpoint: url, region: TEST_REGION, credentials: { ...TEST_CREDENTIALS } },
    setFaults: async (...faults) => {
      const response = await fetch(`${url}/_admin/faults`, { method: 'PUT', body: JSON.stringify(parseFaultPlan({ faults })) });
      if (!response.ok) throw new Error(await response.text());
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
