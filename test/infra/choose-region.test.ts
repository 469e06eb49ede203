import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseRegionCode, rankRegions } from '../../infra/edge/choose-region.ts';
import { runEdgeFunction } from '../support/edge-function.ts';

const domains = { 'eu-west-1': 'eu.example', 'us-west-2': 'us.example', 'ap-southeast-2': 'ap.example' };

const choose = (edge: string | undefined, drained?: string) => runEdgeFunction(domains, edge, drained);

describe('the choice of a region', () => {
  it.each([
    ['eu-central-1', 'eu.example'],
    ['us-east-1', 'us.example'], // 3,800 km to Oregon, 5,400 km to Ireland
    ['us-west-1', 'us.example'],
    ['ap-southeast-4', 'ap.example'],
    ['sa-east-1', 'eu.example'],
  ])('sends what comes in at %s to %s', async (edge, domain) => {
    expect(await choose(edge)).toBe(domain);
  });

  it('sends nothing to a region that is drained: the drill for the loss of a region', async () => {
    expect(await choose('eu-central-1', 'eu-west-1')).toBe('us.example');
    expect(await choose('eu-central-1', 'eu-west-1,us-west-2')).toBe('ap.example');
  });

  it('goes on when every region is drained, and at a place that it does not know', async () => {
    expect(await choose('eu-central-1', 'eu-west-1,us-west-2,ap-southeast-2')).toBe('eu.example');
    expect(await choose('mars-north-1')).toBe('eu.example');
    expect(await choose(undefined, '')).toBe('eu.example');
  });

  it('ranks every region once, each nearest to itself', () => {
    const places = Object.keys(rankRegions([]));
    fc.assert(
      fc.property(fc.subarray(places, { minLength: 1 }), (regions) => {
        const ranks = rankRegions(regions);
        for (const ranked of Object.values(ranks)) expect(ranked.toSorted()).toEqual(regions.toSorted());
        for (const region of regions) expect(ranks[region]?.[0]).toBe(region);
      }),
    );
  });

  it('fits into CloudFront`s 10 kB with all regions deployed', () => {
    const all = Object.fromEntries(
      ['eu-west-1', 'us-west-2', 'ap-southeast-2', 'us-east-1'].map((region) => [region, `${'x'.repeat(32)}.lambda-url.${region}.on.aws`]),
    );
    expect(Buffer.byteLength(chooseRegionCode(all))).toBeLessThan(10_000);
  });
});
