import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAccountView, readHourlyPrice } from '../../infra/aws-account.ts';
import { type AccountView, checkAccount } from '../../infra/check-account.ts';
import type { Settings } from '../../infra/config.ts';
import { estimateIdleCost } from '../../infra/estimate-cost.ts';
import { planEndpoints } from '../../infra/plan-endpoints.ts';
import { catalog } from '../../models/catalog.ts';
import { type Moto, startMoto } from '../support/moto.ts';

const settings: Settings = { name: 'penstock', profile: 'demo', account: '111111111111', regions: ['eu-west-1'] };
const endpoints = planEndpoints(catalog, { regions: settings.regions, leastCopies: 0 });
const ready: AccountView = {
  callerAccount: async () => '111111111111',
  bootstrapVersion: async () => 31,
  endpointQuota: async () => 4,
  concurrentExecutions: async () => 1000,
  hourlyPrice: async () => 1.5,
};
const badOf = async (changes: Partial<AccountView>) => {
  const findings = await checkAccount({ ...ready, ...changes }, settings, endpoints);
  return findings.filter(({ good }) => !good).map(({ text }) => text);
};

describe('the examination of an account', () => {
  it('finds nothing wrong with one that is ready', async () => {
    expect(await badOf({})).toEqual([]);
  });

  it('looks at every region and at that of the edge', async () => {
    const asked: string[] = [];
    await badOf({ bootstrapVersion: async (region) => asked.push(region) && 31 });
    expect(asked).toEqual(['eu-west-1', 'us-east-1']);
  });

  it.each<[string, Partial<AccountView>, RegExp]>([
    ['another account', { callerAccount: async () => '222222222222' }, /those of account 222222222222, but cdk.json names 111111111111/],
    ['no bootstrap', { bootstrapVersion: async () => undefined }, /npx cdk bootstrap aws:\/\/111111111111\/eu-west-1/],
    ['an old bootstrap', { bootstrapVersion: async () => 5 }, /is not bootstrapped/],
    [
      'no quota',
      { endpointQuota: async () => 0 },
      /wants up to 2 ml.g6.xlarge, but the quota is 0: ask for "ml.g6.xlarge for endpoint usage"/,
    ],
    ['a quota that is unknown', { endpointQuota: async () => undefined }, /the quota is 0/],
    ['little concurrency', { concurrentExecutions: async () => 10 }, /only 10 answers/],
    [
      'a permission that lacks',
      { endpointQuota: () => Promise.reject(new Error('not authorized')) },
      /quotas of SageMaker .* No: Error: not authorized/,
    ],
  ])('names %s and the way out', async (_, changes, sentence) => {
    expect((await badOf(changes)).join('\n')).toMatch(sentence);
  });

  it('asks nothing more when the credentials do not work', async () => {
    expect(
      await badOf({
        callerAccount: () => Promise.reject(new Error('expired')),
        bootstrapVersion: () => Promise.reject(new Error('asked')),
      }),
    ).toEqual(['The credentials work? No: Error: expired']);
  });
});

describe('the estimate', () => {
  const total = async (changes: Partial<Settings>, leastCopies: number) => {
    const all = { ...settings, ...changes };
    const lines = await estimateIdleCost(all, planEndpoints(catalog, { regions: all.regions, leastCopies }), async () => 1.5);
    return lines.reduce((sum, { dollars = Number.NaN }) => sum + dollars, 0);
  };

  it('is a few dollars a month for a demo that nobody calls', async () => {
    expect(await total({}, 0)).toBeLessThan(5);
  });

  it('has the GPUs that always run', async () => {
    expect(await total({ profile: 'production' }, 1)).toBeCloseTo(
      1.5 * 730 + 1.2 + 2 + 1 + 2 * (1769 / 1024) * 0.0000033334 * 3600 * 730 + 8 + 2,
      6,
    );
  });

  it('says what it does not know', async () => {
    const plan = planEndpoints(catalog, { regions: settings.regions, leastCopies: 1 });
    expect((await estimateIdleCost(settings, plan, async () => undefined))[0]?.dollars).toBeUndefined();
  });

  it('reads the hourly price out of AWS`s price list', () => {
    // The nesting that the Price List API documents; https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html
    const entry = (USD: string) =>
      JSON.stringify({
        product: {},
        terms: { OnDemand: { 'A.B': { priceDimensions: { 'A.B.C': { unit: 'Hrs', pricePerUnit: { USD } } } } } },
      });
    expect(readHourlyPrice([entry('0.0000000000'), entry('1.1267000000')])).toBe(1.1267);
    expect(readHourlyPrice([JSON.stringify({ terms: {} })])).toBeUndefined();
    expect(readHourlyPrice([])).toBeUndefined();
  });
});

describe('the view of an account', () => {
  let moto: Moto;
  let view: AccountView;
  beforeAll(async () => {
    moto = await startMoto();
    view = createAccountView({ endpoint: String(moto.client.endpoint), credentials: { accessKeyId: 'test', secretAccessKey: 'test' } });
  });
  afterAll(() => moto?.stop());

  it('knows the account', async () => {
    expect(await view.callerAccount()).toBe('123456789012');
  });

  it('knows whether a region is bootstrapped', async () => {
    expect(await view.bootstrapVersion('eu-west-1')).toBeUndefined();
    const ssm = new SSMClient({ ...moto.client, region: 'eu-west-1' });
    await ssm.send(new PutParameterCommand({ Name: '/cdk-bootstrap/hnb659fds/version', Value: '31', Type: 'String' }));
    expect(await view.bootstrapVersion('eu-west-1')).toBe(31);
  });
});
