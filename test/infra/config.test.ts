import { describe, expect, it } from 'vitest';
import { loadSettings } from '../../infra/config.ts';

const good = { name: 'penstock', profile: 'demo', account: '111111111111', regions: ['eu-west-1'] };
const load = (penstock: unknown, flags: Record<string, unknown> = {}) =>
  loadSettings((key) => (key === 'penstock' ? penstock : flags[key]));

describe('settings', () => {
  it('come from cdk.json, and one by one from the command line', () => {
    expect(load(good)).toEqual({ ...good, containerDigests: {} });
    expect(load(good, { profile: 'production', regions: 'eu-west-1,us-east-1' })).toEqual({
      ...good,
      containerDigests: {},
      profile: 'production',
      regions: ['eu-west-1', 'us-east-1'],
    });
  });

  it('take a number from the command line too, where it is a text', () => {
    expect(load(good, { canaryMinutes: '10' }).canaryMinutes).toBe(10);
    expect(load({ ...good, canaryMinutes: 0 }).canaryMinutes).toBe(0);
  });

  it('take true and false from the command line too', () => {
    expect(load(good, { unpinnedImages: 'true' }).unpinnedImages).toBe(true);
    expect(load(good, { unpinnedImages: 'false' }).unpinnedImages).toBe(false);
    expect(load({ ...good, unpinnedImages: true }).unpinnedImages).toBe(true);
  });

  it.each([
    ['no settings', undefined, /must hold the settings/],
    ['a number as account', { ...good, account: 111111111111 }, /account must be the 12 digits/],
    ['no account', { name: 'a1', profile: 'demo', regions: ['eu-west-1'] }, /account is missing/],
    ['an unknown profile', { ...good, profile: 'huge' }, /profile must be demo or production/],
    ['no region', { ...good, regions: [] }, /regions must name at least one region/],
    ['a zone', { ...good, regions: ['eu-west-1a'] }, /regions\.0 must be a region/],
    ['a region twice', { ...good, regions: ['eu-west-1', 'eu-west-1'] }, /regions must not name a region twice/],
    ['a misspelt setting', { ...good, regoins: [] }, /regoins is no setting/],
    ['a canary that comes too seldom', { ...good, canaryMinutes: 30 }, /canaryMinutes must be at most 15/],
    ['a canary that is no number', { ...good, canaryMinutes: 'often' }, /canaryMinutes must be a whole number/],
    ['half an environment', { ...good, provisionedConcurrency: 0.5 }, /provisionedConcurrency must be a whole number/],
    ['answers that are kept somehow', { ...good, keepAnswers: 'sometimes' }, /keepAnswers must be always, asked or never/],
    ['a price that is none', { ...good, prices: { keyMonth: '1' } }, /prices\.keyMonth must be a number of dollars/],
    ['a price of something else', { ...good, prices: { coffee: 3 } }, /prices\.coffee is no setting/],
    ['an answer that is neither', { ...good, unpinnedImages: 'maybe' }, /unpinnedImages must be true or false/],
    ['a tag as digest', { ...good, containerDigests: { vllm: 'latest' } }, /containerDigests\.vllm must be sha256:/],
  ])('refuse %s in one sentence', (_, settings, sentence) => {
    expect(() => load(settings)).toThrow(sentence);
  });

  it('name every problem at once', () => {
    expect(() => load({ name: 'X', profile: 'demo', account: '1', regions: [] })).toThrow(/name .*account .*regions /s);
  });
});
