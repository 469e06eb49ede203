import type { ModelDeployment, ServedModel } from '../models/catalog.ts';

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

/**
 * Groups the catalog by endpoint.
 * @throws one error with one sentence for each model that cannot be deployed as the catalog says.
 */
export function planEndpoints(models: readonly ServedModel[]): readonly EndpointPlan[] {
  const problems: string[] = [];
  const endpoints = new Map<string, { name: string; instanceType: string; components: ComponentPlan[] }>();
  for (const model of models) {
    const { deployment, endpoint, id } = model;
    const component = endpoint.inferenceComponent;
    if (deployment === undefined) problems.push(`${id} has no "deployment": say on which machine it runs, or leave it out of the catalog.`);
    else if (component === undefined) problems.push(`${id} has no "endpoint.inferenceComponent": name the component that serves it.`);
    else {
      const plan = endpoints.get(endpoint.name) ?? { name: endpoint.name, instanceType: deployment.instanceType, components: [] };
      endpoints.set(endpoint.name, plan);
      problems.push(...clashes(plan, component, model, deployment));
      plan.components.push({ name: component, model, deployment });
    }
  }
  if (problems.length > 0) throw new Error(`The catalog cannot be deployed:\n- ${problems.join('\n- ')}`);
  return [...endpoints.values()];
}

function clashes(plan: EndpointPlan, component: string, model: ServedModel, deployment: ModelDeployment): string[] {
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
