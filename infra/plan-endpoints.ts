/** From the catalog to what is deployed: one SageMaker endpoint for each name, and on it the models and adapters that name it. */
import type { ModelAdapter, ModelDeployment, ServedModel } from '../models/catalog.ts';
import type { AdapterPlan, ComponentPlan, EndpointPlan } from './endpoint-plan.ts';
import { findAdapterClashes, findClashes, findMisfits } from './refuse-plans.ts';

export interface PlanOptions {
  readonly regions: readonly string[];
  /** Copies that always run, when the catalog asks for fewer. */
  readonly leastCopies: number;
  /** In place of the catalog's, and of what it would fall back on. */
  readonly instanceType?: string | undefined;
}

interface DraftComponent extends ComponentPlan {
  readonly adapters: AdapterPlan[];
}

interface DraftEndpoint extends EndpointPlan {
  readonly components: DraftComponent[];
}

/**
 * Groups the catalog by endpoint.
 * @throws one error with one sentence for each model that cannot be deployed as the catalog says.
 */
export function planEndpoints(models: readonly ServedModel[], options: PlanOptions): readonly EndpointPlan[] {
  const problems: string[] = [];
  const endpoints = new Map<string, DraftEndpoint>();
  for (const model of models) if (model.adapter === undefined) problems.push(...addComponent(endpoints, model, options));
  for (const model of models) if (model.adapter !== undefined) problems.push(...addAdapter(endpoints, model, model.adapter));
  if (problems.length > 0) throw new Error(`The catalog cannot be deployed:\n- ${problems.join('\n- ')}`);
  return [...endpoints.values()];
}

/** @returns what is wrong with it. */
function addComponent(endpoints: Map<string, DraftEndpoint>, model: ServedModel, options: PlanOptions): readonly string[] {
  const { endpoint, id } = model;
  const deployment = model.deployment && withOptions(model.deployment, options);
  if (deployment === undefined) return [`${id} has no "deployment": say on which machine it runs, or leave it out of the catalog.`];
  const name = endpoint.inferenceComponent;
  if (name === undefined) return [`${id} has no "endpoint.inferenceComponent": name the component that serves it.`];
  const { instanceType, fallbackInstanceTypes = [], prefixAwareRouting } = deployment;
  const plan = endpoints.get(endpoint.name) ?? {
    name: endpoint.name,
    instanceType,
    fallbackInstanceTypes,
    prefixAwareRouting,
    components: [],
  };
  endpoints.set(endpoint.name, plan);
  const problems = [...findClashes(plan, name, model, deployment), ...findMisfits(id, deployment, options.regions)];
  plan.components.push({ name, model, deployment, adapters: [] });
  return problems;
}

function withOptions(deployment: ModelDeployment, { leastCopies, instanceType }: PlanOptions): ModelDeployment {
  const { fallbackInstanceTypes, ...rest } = deployment;
  const { min, max } = deployment.copies;
  return {
    ...rest,
    ...(instanceType === undefined ? { ...(fallbackInstanceTypes === undefined ? {} : { fallbackInstanceTypes }) } : { instanceType }),
    copies: { min: Math.max(min, leastCopies), max: Math.max(max, leastCopies) },
  };
}

/** @returns what is wrong with it. */
function addAdapter(endpoints: Map<string, DraftEndpoint>, model: ServedModel, adapter: ModelAdapter): readonly string[] {
  const plan = endpoints.get(model.endpoint.name);
  const base = plan?.components.find((component) => component.model.id === adapter.base);
  const name = model.endpoint.inferenceComponent;
  const problems = findAdapterClashes(plan, base, model, adapter);
  if (base !== undefined && name !== undefined) base.adapters.push({ name, model, adapter });
  return problems;
}
