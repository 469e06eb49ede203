/** What runs on SageMaker, as the stacks read it. `plan-endpoints.ts` makes it from the catalog. */
import type { ModelAdapter, ModelDeployment, ServedModel } from '../models/catalog.ts';

/** One SageMaker endpoint and the models that it serves, each as an inference component. */
export interface EndpointPlan {
  readonly name: string;
  readonly instanceType: string;
  /** What is taken, in this order, when AWS has none of it. */
  readonly fallbackInstanceTypes: readonly string[];
  readonly prefixAwareRouting: ModelDeployment['prefixAwareRouting'];
  readonly components: readonly ComponentPlan[];
}

export interface ComponentPlan {
  readonly name: string;
  readonly model: ServedModel;
  readonly deployment: ModelDeployment;
  readonly adapters: readonly AdapterPlan[];
}

/** An inference component that lives on the copies of another one. */
export interface AdapterPlan {
  readonly name: string;
  readonly model: ServedModel;
  readonly adapter: ModelAdapter;
}

/** The names of an endpoint's inference components, adapters included. */
export function componentNames({ components }: EndpointPlan): readonly string[] {
  return components.flatMap(({ name, adapters }) => [name, ...adapters.map((adapter) => adapter.name)]);
}

/** The models that an endpoint serves, adapters included. */
export function modelsOf({ components }: EndpointPlan): readonly ServedModel[] {
  return components.flatMap(({ model, adapters }) => [model, ...adapters.map((adapter) => adapter.model)]);
}

/** The machines that an endpoint may run on, the best first. */
export function instanceTypesOf({ instanceType, fallbackInstanceTypes }: EndpointPlan): readonly string[] {
  return [instanceType, ...fallbackInstanceTypes];
}
