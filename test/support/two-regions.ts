/**
 * Two regions of a deployment, on this machine: in each a SageMaker runtime with a container behind it, and a gateway before it that calls both
 * through the real SDK, its own region first. The table is one, as DynamoDB's global table is. What chooses the region is the CDN's own function.
 */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createMemoryTable } from '../../functions/drivers/memory-table.ts';
import { createSageMakerEndpoint } from '../../functions/drivers/sagemaker-endpoint.ts';
import { parseRuntimeConfig } from '../../models/local/sagemaker-runtime/config.ts';
import { type FaultPlanInput, parseFaultPlan } from '../../models/local/sagemaker-runtime/faults.ts';
import { createRuntimeServer } from '../../models/local/sagemaker-runtime/server.ts';
import { runEdgeFunction } from './edge-function.ts';
import { createGenerationGateway, MODEL, type TestGateway } from './generation-gateway.ts';
import { type HeldContainer, startHeldContainer } from './held-container.ts';
import { createMortalTable } from './mortal-table.ts';

const CREDENTIALS = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret-of-the-test' };
const ENDPOINT = 'penstock-gpt';
/** Nobody listens there: what is lost calls nobody any more. */
const NOWHERE = 'http://127.0.0.1:1';

export interface Region {
  readonly name: string;
  readonly container: HeldContainer;
  readonly gateway: TestGateway;
  setFaults(...faults: FaultPlanInput['faults']): Promise<void>;
  /** Its endpoints: every connection breaks, and no other is taken. */
  loseEndpoints(): Promise<void>;
  /** And its gateways: they answer nobody, and get to no table. */
  loseGateway(): void;
  recover(): Promise<void>;
}

export interface TwoRegions extends AsyncDisposable {
  readonly clock: { at: number; now(): number };
  readonly home: Region;
  readonly other: Region;
  /** What the CDN's key-value store holds under this key. */
  drained: string | undefined;
  /** Through the CDN, from a place near the home region. A region without gateways is CloudFront's 502. */
  request(method: string, path: string, options?: { body?: object; headers?: Record<string, string> }): Promise<Response>;
}

export async function startTwoRegions(homeName = 'eu-west-1', otherName = 'us-west-2'): Promise<TwoRegions> {
  const clock = { at: Date.now(), now: () => clock.at };
  const table = createMemoryTable(clock);
  const endpoints = { [homeName]: await startEndpoints(homeName), [otherName]: await startEndpoints(otherName) };
  const urlIn = (region: string | undefined) => endpoints[region ?? '']?.url ?? '';
  const createRegion = async (name: string, elsewhere: string): Promise<Region & { isLost(): boolean; dispose(): Promise<void> }> => {
    const life = createMortalTable(table);
    let isLost = false;
    const endpoint = createSageMakerEndpoint({
      client: {
        region: name,
        credentials: CREDENTIALS,
        endpointProvider: ({ Region: region }) => ({ url: new URL(isLost ? NOWHERE : urlIn(region)) }),
      },
    });
    const gateway = await createGenerationGateway(endpoint, {
      table: life.table,
      clock,
      alternatives: [{ name: ENDPOINT, inferenceComponent: MODEL, region: elsewhere, continuation: 'identical' }],
    });
    const own = endpoints[name];
    if (own === undefined) throw new Error(`no endpoints in ${name}`);
    return {
      name,
      gateway,
      container: own.container,
      setFaults: own.setFaults,
      loseEndpoints: own.lose,
      loseGateway() {
        isLost = true;
        life.kill();
      },
      recover: own.recover,
      isLost: () => isLost,
      async dispose() {
        endpoint.close();
        await own.dispose();
      },
    };
  };
  const home = await createRegion(homeName, otherName);
  const other = await createRegion(otherName, homeName);
  const regions: TwoRegions = {
    clock,
    home,
    other,
    drained: undefined,
    async request(method, path, options = {}) {
      const domains = { [homeName]: homeName, [otherName]: otherName };
      const chosen = (await runEdgeFunction(domains, homeName, regions.drained)) === otherName ? other : home;
      return chosen.isLost() ? new Response('', { status: 502 }) : await chosen.gateway.call(method, path, options);
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([home.dispose(), other.dispose()]);
    },
  };
  return regions;
}

async function startEndpoints(region: string) {
  const container = await startHeldContainer();
  const config = parseRuntimeConfig({
    region,
    credentials: CREDENTIALS,
    endpoints: { [ENDPOINT]: { inferenceComponents: { [MODEL]: { containers: [container.url] } } } },
  });
  let server = createRuntimeServer(config);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo; // a listening TCP server has this form
  const url = `http://127.0.0.1:${port}`;
  const lose = async () => {
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  return {
    container,
    url,
    lose,
    async setFaults(...faults: FaultPlanInput['faults']) {
      const answer = await fetch(`${url}/_admin/faults`, { method: 'PUT', body: JSON.stringify(parseFaultPlan({ faults })) });
      if (!answer.ok) throw new Error(await answer.text());
    },
    async recover() {
      server = createRuntimeServer(config);
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
    async dispose() {
      server.close();
      server.closeAllConnections();
      await container[Symbol.asyncDispose]();
    },
  };
}
