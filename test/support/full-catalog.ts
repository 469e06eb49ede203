import { catalog, type ModelDeployment, type ServedModel } from '../../models/catalog.ts';

const [model] = catalog as readonly [ServedModel]; // the catalog is never empty
const deployment = model.deployment as ModelDeployment; // our own model has one

const pooled: ServedModel = {
  ...model,
  id: 'pooled',
  endpoint: { name: 'pool', inferenceComponent: 'pooled' },
  deployment: {
    ...deployment,
    fallbackInstanceTypes: ['ml.g5.xlarge', 'ml.g4dn.2xlarge'],
    prefixAwareRouting: { prefixBytes: 4096 },
    asynchronous: { maxInstances: 3 },
  },
};
const base: ServedModel = {
  ...model,
  id: 'base',
  endpoint: { name: 'tuned', inferenceComponent: 'base' },
  deployment: { ...deployment, container: 'lmi' },
};
const adapterOn = (on: ServedModel, name: string, rank: number): ServedModel => {
  const { deployment: _, ...rest } = on;
  return {
    ...rest,
    id: name,
    endpoint: { ...on.endpoint, inferenceComponent: name },
    adapter: { base: on.id, artifact: `adapters/${name}.tar.gz`, rank },
  };
};

/** A catalog that asks for everything at once: a pool, adapters of two bases, a batch endpoint, DJL-LMI. */
export const fullCatalog: readonly ServedModel[] = [
  model,
  adapterOn(model, 'support', 12),
  pooled,
  base,
  adapterOn(base, 'legal', 64),
  adapterOn(base, 'sales', 8),
];
