import type { ModelDeployment, ServedModel } from '../models/catalog.ts';
import { findGpuInstance, GPU_FAMILIES, type GpuInstance } from './gpu-instances.ts';

/** One SageMaker endpoint and the models that it serves, each as an inference component. */
export interface EndpointPlan {
  readonly name: string;
  readonly instanceType: string;
  readonly components: readonly ComponentPlan[];
}

export interface ComponentPlan {
  readonly name: string;
  readonly model: ServedModel;
  readonly deployment: ModelDeployment;
}

export interface PlanOptions {
  readonly regions: readonly string[];
  /** Copies that always run, when the catalog asks for fewer. */
  readonly leastCopies: number;
  /** In place of the catalog's. */
  readonly instanceType?: string | undefined;
}

/**
 * Groups the catalog by endpoint.
 * @throws one error with one sentence for each model that cannot be deployed as the catalog says.
 */
export function planEndpoints(
  models: readonly ServedModel[],
  { regions, leastCopies, instanceType }: PlanOptions,
): readonly EndpointPlan[] {
  const problems: string[] = [];
  const endpoints = new Map<string, { name: string; instanceType: string; components: ComponentPlan[] }>();
  for (const model of models) {
    const { endpoint, id } = model;
    const deployment = model.deployment && { ...model.deployment, instanceType: instanceType ?? model.deployment.instanceType };
    const component = endpoint.inferenceComponent;
    if (deployment === undefined) problems.push(`${id} has no "deployment": say on which machine it runs, or leave it out of the catalog.`);
    else if (component === undefined) problems.push(`${id} has no "endpoint.inferenceComponent": name the component that serves it.`);
    else {
      const plan = endpoints.get(endpoint.name) ?? { name: endpoint.name, instanceType: deployment.instanceType, components: [] };
      endpoints.set(endpoint.name, plan);
      problems.push(...findClashes(plan, component, model, deployment), ...findMisfits(id, deployment, regions));
      const { min, max } = deployment.copies;
      const copies = { min: Math.max(min, leastCopies), max: Math.max(max, leastCopies) };
      plan.components.push({ name: component, model, deployment: { ...deployment, copies } });
    }
  }
  if (problems.length > 0) throw new Error(`The catalog cannot be deployed:\n- ${problems.join('\n- ')}`);
  return [...endpoints.values()];
}

function findClashes(plan: EndpointPlan, component: string, model: ServedModel, deployment: ModelDeployment): string[] {
  const problems: string[] = [];
  if (deployment.instanceType !== plan.instanceType) {
    problems.push(
      `${model.id} wants ${deployment.instanceType}, but its endpoint ${plan.name} has ${plan.instanceType}: give it another endpoint.`,
    );
  }
  if (plan.components.some(({ name }) => name === component)) {
    problems.push(`${model.id} has the inference component ${component}, which another model of ${plan.name} has already.`);
  }
  if (deployment.copies.min > deployment.copies.max) {
    problems.push(`${model.id} has fewer copies at most (${deployment.copies.max}) than at least (${deployment.copies.min}).`);
  }
  return problems;
}

/** SageMaker and the system keep some of an instance's memory for themselves. */
const USABLE_MEMORY = 0.9;

function findMisfits(id: string, { instanceType, acceleratorCount, minMemoryMb }: ModelDeployment, regions: readonly string[]): string[] {
  const instance: GpuInstance | undefined = findGpuInstance(instanceType);
  if (instance === undefined)
    return [`${id} wants ${instanceType}, which is no known GPU instance: use one of ${GPU_FAMILIES.join(', ')}.`];
  const problems: string[] = [];
  if (acceleratorCount > instance.gpus) {
    problems.push(`${id} wants ${acceleratorCount} GPUs, but ${instanceType} has ${instance.gpus}: choose a larger instance.`);
  }
  if (minMemoryMb > instance.memoryMb * USABLE_MEMORY) {
    const usable = Math.floor(instance.memoryMb * USABLE_MEMORY);
    problems.push(`${id} wants ${minMemoryMb} MB, but ${instanceType} has ${usable} MB to give: choose a larger instance.`);
  }
  for (const region of regions.filter((each) => !instance.regions.includes(each))) {
    problems.push(`${id} wants ${instanceType}, which ${region} does not have: choose another instance or region.`);
  }
  return problems;
}
