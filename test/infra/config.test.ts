import { describe, expect, it } from 'vitest';
import { loadSettings } from '../../infra/config.ts';
import { planEndpoints } from '../../infra/plan-endpoints.ts';
import { catalog, type ServedModel } from '../../models/catalog.ts';

const good = { name: 'penstock', profile: 'demo', account: '111111111111', regions: ['eu-west-1'] };
const load = (penstock: unknown, flags: Record<string, unknown> = {}) =>
  loadSettings((key) => (key === 'penstock' ? penstock : flags[key]));

describe('settings', () => {
  it('come from cdk.json, and one by one from the command line', () => {
    expect(load(good)).toEqual(good);
    expect(load(good, { profile: 'production', regions: 'eu-west-1,us-east-1' })).toEqual({
      ...good,
      profile: 'production',
      regions: ['eu-west-1', 'us-east-1'],
    });
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
  ])('refuse %s in one sentence', (_, settings, sentence) => {
    expect(() => load(settings)).toThrow(sentence);
  });

  it('name every problem at once', () => {
    expect(() => load({ name: 'X', profile: 'demo', account: '1', regions: [] })).toThrow(/name .*account .*regions /s);
  });
});

describe('the plan of endpoints', () => {
  const [first] = catalog;
  const change = (fields: Partial<ServedModel>): ServedModel => ({ ...(first as ServedModel), ...fields }); // the catalog is never empty
  const deployment = (first as ServedModel).deployment as NonNullable<ServedModel['deployment']>; // nor is our own model without one

  const anywhere = { regions: ['eu-west-1'], leastCopies: 0 };

  it('puts models that name the same endpoint onto it', () => {
    const second = change({ id: 'second', endpoint: { name: 'penstock-gpt', inferenceComponent: 'second' } });
    const [endpoint, ...others] = planEndpoints([change({}), second], anywhere);
    expect(others).toEqual([]);
    expect(endpoint?.components.map(({ name }) => name)).toEqual(['smollm2-135m-instruct', 'second']);
  });

  it.each<[string, ServedModel, RegExp]>([
    ['no deployment', { ...change({ id: 'x' }), deployment: undefined } as unknown as ServedModel, /x has no "deployment"/],
    ['no component', change({ id: 'x', endpoint: { name: 'other' } }), /x has no "endpoint.inferenceComponent"/],
    ['a component that exists', change({ id: 'x' }), /x has the inference component smollm2-135m-instruct, which/],
    [
      'another machine on the same endpoint',
      change({
        id: 'x',
        endpoint: { name: 'penstock-gpt', inferenceComponent: 'x' },
        deployment: { ...deployment, instanceType: 'ml.g5.xlarge' },
      }),
      /x wants ml.g5.xlarge, but its endpoint penstock-gpt has ml.g6.xlarge/,
    ],
    [
      'more copies at least than at most',
      change({ id: 'x', endpoint: { name: 'other', inferenceComponent: 'x' }, deployment: { ...deployment, copies: { min: 3, max: 2 } } }),
      /x has fewer copies at most \(2\) than at least \(3\)/,
    ],
  ])('refuses %s in one sentence', (_, model, sentence) => {
    expect(() => planEndpoints([change({}), model], anywhere)).toThrow(sentence);
  });
});
