/** Why a model cannot be deployed as the catalog says: one sentence each, with the way out. */
import type { ModelAdapter, ModelDeployment, ServedModel } from '../models/catalog.ts';
import { type ComponentPlan, componentNames, type EndpointPlan } from './endpoint-plan.ts';
import { findGpuInstance, GPU_FAMILIES } from './gpu-instances.ts';

/** SageMaker and the system keep some of an instance's memory for themselves. */
const USABLE_MEMORY = 0.9;

/** What a model and the others on its endpoint disagree about. */
export function findClashes(plan: EndpointPlan, component: string, model: ServedModel, deployment: ModelDeployment): string[] {
  const problems: string[] = [];
  const types = (first: string, others: readonly string[] = []) => [first, ...others].join(', then ');
  const wanted = types(deployment.instanceType, deployment.fallbackInstanceTypes);
  const has = types(plan.instanceType, plan.fallbackInstanceTypes);
  if (wanted !== has) problems.push(`${model.id} wants ${wanted}, but its endpoint ${plan.name} has ${has}: give it another endpoint.`);
  if (deployment.prefixAwareRouting?.prefixBytes !== plan.prefixAwareRouting?.prefixBytes) {
    problems.push(`${model.id} and another model of ${plan.name} want different "prefixAwareRouting": give it another endpoint.`);
  }
  if (componentNames(plan).includes(component)) {
    problems.push(`${model.id} has the inference component ${component}, which another model of ${plan.name} has already.`);
  }
  if (deployment.copies.min > deployment.copies.max) {
    problems.push(`${model.id} has fewer copies at most (${deployment.copies.max}) than at least (${deployment.copies.min}).`);
  }
  return problems;
}

/** What its machines, or their regions, cannot do for a model. */
export function findMisfits(id: string, deployment: ModelDeployment, regions: readonly string[]): string[] {
  const types = [deployment.instanceType, ...(deployment.fallbackInstanceTypes ?? [])];
  const repeated = types.find((type, index) => types.indexOf(type) !== index);
  return [
    ...(repeated === undefined ? [] : [`${id} names ${repeated} twice among its instance types: leave one out.`]),
    ...new Set(types.flatMap((type) => findMisfit(id, type, deployment, regions))),
  ];
}

function findMisfit(id: string, instanceType: string, deployment: ModelDeployment, regions: readonly string[]): string[] {
  const { acceleratorCount, minMemoryMb } = deployment;
  const instance = findGpuInstance(instanceType);
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

/** What keeps an adapter from its base. */
export function findAdapterClashes(
  plan: EndpointPlan | undefined,
  base: ComponentPlan | undefined,
  { id, endpoint, deployment, tokenizer }: ServedModel,
  adapter: ModelAdapter,
): string[] {
  if (plan === undefined || base === undefined) {
    return [`${id} is an adapter on ${adapter.base}, which is no model of the endpoint ${endpoint.name}: add its base there.`];
  }
  const problems: string[] = [];
  const name = endpoint.inferenceComponent;
  if (name === undefined) problems.push(`${id} has no "endpoint.inferenceComponent": name the component that serves it.`);
  else if (componentNames(plan).includes(name)) {
    problems.push(`${id} has the inference component ${name}, which another model of ${plan.name} has already.`);
  }
  if (deployment !== undefined) problems.push(`${id} is an adapter and has a "deployment" as well: it runs where its base does.`);
  if (tokenizer.digest !== base.model.tokenizer.digest) {
    problems.push(`${id} has another tokenizer than its base ${adapter.base}: an adapter changes no vocabulary.`);
  }
  // A component on a pool says what it is for each instance type, and there AWS knows no base component: an adapter cannot be said at all.
  // https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-sagemaker-inferencecomponent.html
  if (plan.fallbackInstanceTypes.length > 0) {
    problems.push(`${id} is an adapter, but ${plan.name} has several instance types: give adapters an endpoint with one.`);
  }
  return problems;
}
