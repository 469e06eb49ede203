import type { App } from 'aws-cdk-lib';
import type { ServedModel } from '../models/catalog.ts';
import type { Settings } from './config.ts';
import { type EndpointPlan, planEndpoints } from './plan-endpoints.ts';
import { GatewayStack } from './stacks/gateway-stack.ts';
import { InferenceStack } from './stacks/inference-stack.ts';

/** Adds every stack. Stacks of one region depend on nothing of another. */
export function buildApp(app: App, settings: Settings, models: readonly ServedModel[]): void {
  const endpoints: readonly EndpointPlan[] = planEndpoints(models);
  for (const region of settings.regions) {
    const env = { account: settings.account, region };
    const inference = new InferenceStack(app, `${settings.name}-inference-${region}`, { env, settings, endpoints });
    const gateway = new GatewayStack(app, `${settings.name}-gateway-${region}`, { env, settings, endpoints });
    gateway.addStackDependency(inference);
  }
}
