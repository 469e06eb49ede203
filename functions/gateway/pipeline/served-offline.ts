import { asyncEndpointName } from '../../../models/catalog.ts';
import type { LoadedModel } from '../served-models.ts';

/**
 * The model as its asynchronous endpoint serves it; `undefined` for one that has none. What its answers cost in instances is not reckoned: how long
 * the endpoint worked on one is not told.
 */
export function servedOffline(model: LoadedModel): LoadedModel | undefined {
  const { endpoint, deployment, ...rest } = model.served;
  const component = endpoint.inferenceComponent;
  if (deployment?.asynchronous === undefined || component === undefined || model.pipeline !== undefined) return undefined;
  const { alternatives: _, ...served } = rest;
  const { continuation } = endpoint;
  return {
    ...model,
    served: { ...served, endpoint: { name: asyncEndpointName(component), ...(continuation === undefined ? {} : { continuation }) } },
  };
}
