import type { CfnInferenceComponent } from 'aws-cdk-lib/aws-sagemaker';
import { describe, expect, it } from 'vitest';
import { planEndpoints } from '../../infra/plan-endpoints.ts';
import { catalog, type ModelDeployment, type ServedModel } from '../../models/catalog.ts';

describe('the plan of endpoints', () => {
  const [first] = catalog;
  const adapterOn = (base: string, fields: Partial<ServedModel> = {}): ServedModel => {
    const { deployment: _, ...rest } = change({});
    const endpoint = { name: 'penstock-gpt', inferenceComponent: 'x' };
    return { ...rest, id: 'x', endpoint, adapter: { base, artifact: 'adapters/x.tar.gz', rank: 8 }, ...fields };
  };
  const running = (fields: Partial<ModelDeployment>): ServedModel =>
    change({ id: 'x', endpoint: { name: 'other', inferenceComponent: 'x' }, deployment: { ...deployment, ...fields } });
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
    ['too little memory', running({ minMemoryMb: 16_000 }), /x wants 16000 MB, but ml.g6.xlarge has 14745 MB to give/],
    ['too few GPUs', running({ acceleratorCount: 2 }), /x wants 2 GPUs, but ml.g6.xlarge has 1/],
    ['a machine without a GPU', running({ instanceType: 'ml.m5.xlarge' }), /x wants ml.m5.xlarge, which is no known GPU instance/],
    ['a region without the GPU', running({ instanceType: 'ml.g6e.xlarge' }), /x wants ml.g6e.xlarge, which eu-west-1 does not have/],
    [
      'a fallback that lacks memory',
      running({ instanceType: 'ml.g6.2xlarge', fallbackInstanceTypes: ['ml.g5.xlarge'], minMemoryMb: 15_000 }),
      /but ml.g5.xlarge has 14745/,
    ],
    [
      'a fallback that the region lacks',
      running({ fallbackInstanceTypes: ['ml.p5.48xlarge'] }),
      /ml.p5.48xlarge, which eu-west-1 does not/,
    ],
    ['a type twice', running({ fallbackInstanceTypes: ['ml.g6.xlarge'] }), /x names ml.g6.xlarge twice/],
    [
      'another routing on the same endpoint',
      { ...running({ prefixAwareRouting: { prefixBytes: 2048 } }), endpoint: { name: 'penstock-gpt', inferenceComponent: 'x' } },
      /x and another model of penstock-gpt want different "prefixAwareRouting"/,
    ],
    [
      'an adapter without its base',
      adapterOn('gone'),
      /x is an adapter on gone, which is no model of the endpoint penstock-gpt: add its base/,
    ],
    [
      'an adapter on another endpoint than its base',
      adapterOn('smollm2-135m-instruct', { endpoint: { name: 'elsewhere', inferenceComponent: 'x' } }),
      /x is an adapter on smollm2-135m-instruct, which is no model of the endpoint elsewhere/,
    ],
    ['an adapter with a machine', adapterOn('smollm2-135m-instruct', { deployment }), /x is an adapter and has a "deployment" as well/],
    [
      'an adapter with its base`s component',
      adapterOn('smollm2-135m-instruct', { endpoint: change({}).endpoint }),
      /x has the inference component smollm2-135m-instruct, which another/,
    ],
    [
      'an adapter with another vocabulary',
      adapterOn('smollm2-135m-instruct', { tokenizer: { folder: 'other', digest: '0'.repeat(64) } }),
      /x has another tokenizer than its base/,
    ],
  ])('refuses %s in one sentence', (_, model, sentence) => {
    const refused = () => planEndpoints([change({}), model], anywhere);
    expect(refused).toThrow(sentence);
    // One problem, one line.
    expect(refused).toThrow(/^The catalog cannot be deployed:\n- [^\n]+$/);
  });

  it('refuses an adapter on a pool, which AWS cannot be asked for', () => {
    // Of CloudFormation's own definition: when this line no longer compiles, AWS knows it, and the refusal can go.
    const isKnown: 'baseInferenceComponentName' extends keyof CfnInferenceComponent.InferenceComponentSpecificationForInstanceTypeProperty
      ? true
      : false = false;
    expect(isKnown).toBe(false);
    const pooled = change({ deployment: { ...deployment, fallbackInstanceTypes: ['ml.g5.xlarge'] } });
    expect(() => planEndpoints([pooled, adapterOn('smollm2-135m-instruct')], anywhere)).toThrow(
      /x is an adapter, but penstock-gpt has several instance types/,
    );
  });

  it('takes one machine for all models when the settings say so', () => {
    const pooled = change({ deployment: { ...deployment, fallbackInstanceTypes: ['ml.g5.xlarge'] } });
    const [endpoint] = planEndpoints([pooled], { ...anywhere, instanceType: 'ml.g4dn.xlarge' });
    expect(endpoint).toMatchObject({ instanceType: 'ml.g4dn.xlarge', fallbackInstanceTypes: [] });
  });

  it('finds adapters wherever they stand in the catalog', () => {
    const [endpoint] = planEndpoints([adapterOn('smollm2-135m-instruct'), change({})], anywhere);
    expect(endpoint?.components[0]?.adapters.map(({ name }) => name)).toEqual(['x']);
  });
});
