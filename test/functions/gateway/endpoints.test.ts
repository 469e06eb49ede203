import { describe, expect, it } from 'vitest';
import { EndpointUnavailableError } from '../../../functions/gateway/errors.ts';
import type { ControlPlane, TargetStatus } from '../../../functions/gateway/services.ts';
import type { EmbeddingModel, ServedModel } from '../../../models/catalog.ts';
import { createGenerationGateway, MODEL } from '../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../support/toy-endpoint.ts';

const elsewhere = [{ name: 'penstock-gpt', inferenceComponent: MODEL, region: 'us-west-2' }] satisfies ServedModel['alternatives'];
const embedder: EmbeddingModel = {
  task: 'embed',
  id: 'embedder',
  created: 1,
  ownedBy: 'us',
  dimensions: 4,
  maxInputTokens: 8,
  takesTokenIds: false,
  endpoint: { name: 'vectors' },
};

async function list(describe: (region: string | undefined, name: string) => TargetStatus | undefined) {
  const controlPlane: ControlPlane = { describe: async ({ region, endpointName }) => describe(region, endpointName) };
  const gateway = await createGenerationGateway(new ToyEndpoint(), {
    controlPlane,
    alternatives: elsewhere,
    config: { embeddingModels: [embedder] },
  });
  return { gateway, data: ((await (await gateway.call('GET', '/v1/admin/endpoints')).json()) as { data: object[] }).data };
}

describe('GET /v1/admin/endpoints', () => {
  it('tells what runs behind each model, in each region', async () => {
    const { data } = await list((region, name) => {
      if (name === 'vectors') return undefined;
      if (region !== undefined)
        throw new EndpointUnavailableError('unreachable', name, {
          cause: Object.assign(new Error('no'), { name: 'AccessDeniedException' }),
        });
      return { status: 'Failed', copies: { running: 0, wanted: 1 }, changedAt: 1_764_200_000_250, failure: 'InsufficientInstanceCapacity' };
    });
    const place = { model: MODEL, endpoint: 'penstock-gpt', inference_component: MODEL, in_progress: 0, circuit: 'closed' };
    const unknown = { copies: null, changed_at: null };
    expect(data).toEqual([
      {
        ...place,
        region: null,
        status: 'Failed',
        copies: { running: 0, wanted: 1 },
        changed_at: 1_764_200_000,
        failure: 'InsufficientInstanceCapacity',
      },
      { ...place, ...unknown, region: 'us-west-2', status: 'Unknown', failure: 'AccessDeniedException: no' },
      {
        ...place,
        ...unknown,
        model: 'embedder',
        region: null,
        endpoint: 'vectors',
        inference_component: null,
        status: 'NotFound',
        failure: null,
      },
    ]);
  });

  it('is for administrators alone', async () => {
    const { gateway } = await list(() => undefined);
    const { key } = await gateway.createKey();
    expect((await gateway.call('GET', '/v1/admin/endpoints', { key })).status).toBe(403);
  });
});
