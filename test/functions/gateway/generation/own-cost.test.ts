import { describe, expect, it } from 'vitest';
import { ownCostOf } from '../../../../functions/gateway/generation/own-cost.ts';
import { deploymentOf, type ServedModels } from '../../../../functions/gateway/served-models.ts';
import { catalog, type ModelDeployment } from '../../../../models/catalog.ts';

const deployment: ModelDeployment = {
  instanceType: 'ml.g6.xlarge',
  container: 'vllm',
  artifactPrefix: 'base/x/',
  acceleratorCount: 1,
  minMemoryMb: 4096,
  copies: { min: 0, max: 2 },
  concurrencyPerCopy: 32,
  instanceDollarsPerHour: 1.1267,
};

describe('the cost of own instances', () => {
  it('is the time that calls were open, at the price of one of the places that a copy has', () => {
    // By hand: $1.1267 / 3600 s = $0.000312972 a second; / 32 places = $0.00000978038; * 4.5 s = $0.0000440117 = 44 012 nano-dollars.
    expect(ownCostOf(deployment, 4_500)).toBe(44_012);
    // Four copies on an instance of $10.18: $10.18 / 3600 / 4 / 8 places = $0.0000883681 a second; * 0.25 s = 22 092 nano-dollars.
    expect(ownCostOf({ ...deployment, instanceDollarsPerHour: 10.18, copiesPerInstance: 4, concurrencyPerCopy: 8 }, 250)).toBe(22_092);
  });

  it('is the bill, when all places of an instance are taken all the time', () => {
    const requests = 3 * 32; // three copies of 32 places, each taken for an hour
    const each = ownCostOf({ ...deployment, copiesPerInstance: 3 }, 3_600_000) ?? 0;
    expect(Math.abs(each * requests - 1.1267e9)).toBeLessThanOrEqual(requests); // each is rounded to a nano-dollar
  });

  it('of an adapter is that of its base, whose copies serve it', () => {
    const [base] = catalog;
    if (base === undefined) throw new Error('the catalog has a model');
    const models = new Map([[base.id, { served: { ...base, deployment } }]]) as unknown as ServedModels; // no tokenizer is needed
    const { deployment: _, ...undeployed } = base;
    const adapter = { ...undeployed, id: 'tuned', adapter: { base: base.id, artifact: 'adapters/tuned.tar.gz', rank: 8 } };
    expect(deploymentOf(models, adapter)).toEqual(deployment);
    expect(deploymentOf(models, { ...base, deployment })).toEqual(deployment);
    expect(deploymentOf(models, undeployed)).toBeUndefined();
  });

  it('is not known of a model without an instance or without its price', () => {
    expect(ownCostOf(undefined, 1_000)).toBeNull();
    const { instanceDollarsPerHour: _, ...unpriced } = deployment;
    expect(ownCostOf(unpriced, 1_000)).toBeNull();
  });
});
