import { createHash } from 'node:crypto';
import { CreateRepositoryCommand, ECRClient, PutImageCommand } from '@aws-sdk/client-ecr';
import { PutParameterCommand, SSMClient } from '@aws-sdk/client-ssm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAccountView, readHourlyPrice } from '../../infra/aws-account.ts';
import { type AccountView, checkAccount } from '../../infra/check-account.ts';
import type { Settings } from '../../infra/config.ts';
import { estimateIdleCost } from '../../infra/estimate-cost.ts';
import { LIST_PRICES } from '../../infra/list-prices.ts';
import { planEndpoints } from '../../infra/plan-endpoints.ts';
import { catalog, type ModelDeployment, type ServedModel } from '../../models/catalog.ts';
import { type Moto, startMoto } from '../support/moto.ts';
import { synthesiseProduction } from '../support/synthesise-stacks.ts';

const settings: Settings = { name: 'penstock', profile: 'demo', account: '111111111111', regions: ['eu-west-1'] };
const endpoints = planEndpoints(catalog, { regions: settings.regions, leastCopies: 0 });
const DIGEST = `sha256:${'b'.repeat(64)}`;
const ready: AccountView = {
  callerAccount: async () => '111111111111',
  bootstrapVersion: async () => 31,
  endpointQuota: async () => 4,
  concurrentExecutions: async () => 1000,
  hourlyPrice: async () => 1.5,
  imageDigest: async () => DIGEST,
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

  it('tells what an image is called today, and looks for the one that is pinned', async () => {
    const imageIn = async (changes: Partial<Settings>) => {
      const findings = await checkAccount(ready, { ...settings, ...changes }, endpoints);
      return findings.find(({ text }) => text.includes('the image'));
    };
    const advice = `stands for ${DIGEST} today: \`npm run penstock -- doctor --pin-images\` pins it.`;
    expect(await imageIn({})).toEqual({ good: true, text: expect.stringContaining(advice) });
    // Where images have to be pinned, it is a finding.
    expect(await imageIn({ profile: 'production' })).toEqual({ good: false, text: expect.stringContaining(advice) });
    expect(await imageIn({ profile: 'production', unpinnedImages: true })).toMatchObject({ good: true });
    expect(await imageIn({ profile: 'production', containerDigests: { vllm: DIGEST } })).toMatchObject({ good: true });
    const asked: (string | undefined)[] = [];
    const view: AccountView = {
      ...ready,
      imageDigest: async (_region, _image, digest) => {
        asked.push(digest);
        return undefined;
      },
    };
    const pinned = await checkAccount(view, { ...settings, containerDigests: { vllm: DIGEST } }, endpoints);
    expect(asked).toEqual([DIGEST]);
    expect(pinned.filter(({ good }) => !good).map(({ text }) => text)).toEqual([
      `eu-west-1: the image vllm@${DIGEST} is not there or may not be pulled: take another tag, digest or container.`,
    ]);
  });

  it('adds up what all endpoints want of an instance type, to fall back on and for batches too', async () => {
    const [model] = catalog as readonly [ServedModel]; // the catalog is never empty
    const deployment = model.deployment as ModelDeployment; // and ours has one
    const other = {
      ...model,
      id: 'other',
      endpoint: { name: 'other', inferenceComponent: 'other' },
      deployment: {
        ...deployment,
        instanceType: 'ml.g5.xlarge',
        fallbackInstanceTypes: ['ml.g6.xlarge'],
        asynchronous: { maxInstances: 3 },
      },
    };
    const plan = planEndpoints([model, other], { regions: settings.regions, leastCopies: 0 });
    const findings = await checkAccount({ ...ready, endpointQuota: async () => 6 }, settings, plan);
    const bad = findings.filter(({ good }) => !good).map(({ text }) => text);
    // Two copies of the one, two copies and three instances of the other.
    expect(bad).toEqual([expect.stringContaining('penstock-gpt and other wants up to 7 ml.g6.xlarge, but the quota is 6')]);
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

/** A dollar for everything. */
const ONES = Object.fromEntries(Object.keys(LIST_PRICES).map((name) => [name, 1]));

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
      1.5 * 730 + 3 * 0.4 + 2 * 1 + 14 * 0.1 + 2 * 0.5 + 2 * (1769 / 1024) * 0.0000033334 * 3600 * 730 + 8 + 2.75 + (0.4 + 0.1 + 3 * 0.3),
      6,
    );
  });

  it('has what the canary needs: a key, an alarm, its metrics, and a GPU that it keeps awake', async () => {
    expect((await total({ canaryMinutes: 15 }, 0)) - (await total({}, 0))).toBeCloseTo(1.5 * 730 + 0.4 + 0.1 + 3 * 0.3, 6);
    expect((await total({ profile: 'production' }, 1)) - (await total({ profile: 'production', canaryMinutes: 0 }, 1))).toBeCloseTo(1.4, 6);
  });

  it('has the warm gateways that the settings ask for, and none of a web function', async () => {
    const each = (1769 / 1024) * 0.0000033334 * 3600 * 730;
    expect((await total({ provisionedConcurrency: 3 }, 0)) - (await total({}, 0))).toBeCloseTo(3 * each, 6);
    const production = { profile: 'production' } as const;
    expect((await total(production, 1)) - (await total({ ...production, gateway: 'web' }, 1))).toBeCloseTo(2 * each, 6);
  });

  it('has as many alarms as the stacks of a region, and those that target tracking makes', async () => {
    const stacks = await synthesiseProduction();
    const count = (type: string) =>
      ['inference-eu-west-1', 'jobs-eu-west-1', 'gateway-eu-west-1', 'operations-eu-west-1', 'edge'].reduce(
        (sum, stack) => sum + Object.keys(stacks(stack).findResources(type)).length,
        0,
      );
    const tracking = stacks('inference-eu-west-1').findResources('AWS::ApplicationAutoScaling::ScalingPolicy', {
      Properties: { PolicyType: 'TargetTrackingScaling' },
    });
    const lines = await estimateIdleCost(settings, endpoints, async () => 1);
    const dollars = (what: string) => lines.find((line) => line.what === what)?.dollars ?? Number.NaN;
    const canary = Object.keys(stacks('canary-eu-west-1').findResources('AWS::CloudWatch::Alarm')).length;
    expect(dollars('alarms') / 0.1).toBeCloseTo(count('AWS::CloudWatch::Alarm') + 2 * Object.keys(tracking).length);
    const withCanary = await estimateIdleCost({ ...settings, canaryMinutes: 5 }, endpoints, async () => 1);
    expect((withCanary.find(({ what }) => what === 'alarms of the canary')?.dollars ?? Number.NaN) / 0.1).toBeCloseTo(canary);
    expect(dollars('composite alarms') / 0.5).toBeCloseTo(count('AWS::CloudWatch::CompositeAlarm'));
  });

  it('says of each price where it is from', async () => {
    for (const { source } of await estimateIdleCost({ ...settings, profile: 'production' }, endpoints, async () => 1))
      expect(source).toMatch(
        /^list price of us-east-1, \d{4}-\d{2}: https:\/\/aws\.amazon\.com\/[\w-]+\/pricing\/$|^AWS's price list, asked now$/,
      );
  });

  it('takes the prices that the settings have in place of any of them, and says so', async () => {
    const own = { ...settings, profile: 'production', prices: { ...ONES, instanceHour: { 'ml.g6.xlarge': 1 } } } as const;
    const unasked = () => Promise.reject(new Error('asked'));
    const lines = await estimateIdleCost(own, planEndpoints(catalog, { regions: own.regions, leastCopies: 1 }), unasked);
    expect(lines.map(({ source }) => source)).toEqual(lines.map(() => 'your price, in cdk.json'));
    const of = (what: string) => lines.find((line) => line.what === what)?.dollars;
    expect([of('alarms'), of('composite alarms'), of('firewall'), of('probe'), of('metrics of the canary')]).toEqual([14, 2, 1, 1, 3]);
    expect(lines[0]?.dollars).toBe(730);
  });

  it('says what it does not know', async () => {
    const plan = planEndpoints(catalog, { regions: settings.regions, leastCopies: 1 });
    const [line] = await estimateIdleCost(settings, plan, async () => undefined);
    expect(line?.dollars).toBeUndefined();
    expect(line?.source).toContain('prices.instanceHour');
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

  it('knows the digest that a tag stands for, and nothing of an image that is not there', async () => {
    const ecr = new ECRClient({ ...moto.client, region: 'eu-west-1' });
    const repositoryName = 'vllm';
    await ecr.send(new CreateRepositoryCommand({ repositoryName }));
    const config = { mediaType: 'application/vnd.docker.container.image.v1+json', size: 2, digest: `sha256:${'c'.repeat(64)}` };
    const imageManifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
      config,
      layers: [],
    });
    // An image is named by the digest of its manifest: https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
    const digest = `sha256:${createHash('sha256').update(imageManifest).digest('hex')}`;
    await ecr.send(new PutImageCommand({ repositoryName, imageManifest, imageTag: 'v1', imageDigest: digest }));
    const image = { registry: '123456789012', repository: repositoryName, tag: 'v1' };
    expect(await view.imageDigest('eu-west-1', image, undefined)).toBe(digest);
    expect(await view.imageDigest('eu-west-1', image, digest)).toBe(digest);
    expect(await view.imageDigest('eu-west-1', { ...image, tag: 'v2' }, undefined)).toBeUndefined();
  });

  it('knows whether a region is bootstrapped', async () => {
    expect(await view.bootstrapVersion('eu-west-1')).toBeUndefined();
    const ssm = new SSMClient({ ...moto.client, region: 'eu-west-1' });
    await ssm.send(new PutParameterCommand({ Name: '/cdk-bootstrap/hnb659fds/version', Value: '31', Type: 'String' }));
    expect(await view.bootstrapVersion('eu-west-1')).toBe(31);
  });
});
