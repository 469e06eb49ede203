import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../functions/gateway/config.ts';
import { chooseTarget, type WeightedTarget } from '../../../../functions/gateway/routing/choose-target.ts';
import { withOtherRegions } from '../../../../functions/gateway/routing/other-regions.ts';
import { TargetHealth } from '../../../../functions/gateway/routing/target-health.ts';
import { catalog, type ServedModel } from '../../../../models/catalog.ts';

const [model] = catalog as readonly [ServedModel]; // the catalog is never empty
const second = { name: 'penstock-second' };
const environment = { PENSTOCK_API_KEY_HASHES: 'a'.repeat(64) };

describe('endpoints of other regions', () => {
  it('stand behind each of the own ones, and behind none that names its region', () => {
    const fixed = { name: 'elsewhere', region: 'ap-south-1' };
    const [served] = withOtherRegions([{ ...model, alternatives: [second, fixed] }], ['us-west-2', 'eu-north-1']);
    expect(served?.endpoint).toEqual(model.endpoint);
    expect(served?.alternatives).toEqual([
      second,
      fixed,
      ...['us-west-2', 'eu-north-1'].flatMap((region) => [
        { ...model.endpoint, region },
        { ...second, region },
      ]),
    ]);
  });

  it('come from the environment, where they are checked', () => {
    const { catalog: served } = loadConfig({ ...environment, PENSTOCK_OTHER_REGIONS: 'us-west-2, eu-north-1' });
    expect(served[0]?.alternatives?.map(({ region }) => region)).toEqual(['us-west-2', 'eu-north-1']);
    expect(loadConfig(environment).catalog).toEqual(catalog);
    expect(() => loadConfig({ ...environment, PENSTOCK_OTHER_REGIONS: 'mars' })).toThrow(/PENSTOCK_OTHER_REGIONS must hold regions/);
  });

  it('are not asked while one of the own region is well, however much it has to do', () => {
    const health = new TargetHealth();
    const own: WeightedTarget = { endpointName: 'a', weight: 1, continuation: 'valid' };
    const targets = [own, { ...own, region: 'us-west-2' }, { ...own, region: 'eu-north-1' }];
    for (let count = 0; count < 50; count += 1) {
      const chosen = chooseTarget(targets, health, { promptTokenIds: [count], tried: [], nowMs: 0 });
      expect(chosen.region).toBeUndefined();
      health.began(chosen);
    }
  });
});
