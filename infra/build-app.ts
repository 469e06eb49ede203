import { type App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import type { ServedModel } from '../models/catalog.ts';
import { acknowledgeFindings } from './acknowledged-findings.ts';
import { canaryMinutesOf, profileOf, type Settings } from './config.ts';
import { EDGE_REGION, edgeStackName, gatewayStackName } from './names.ts';
import { refuseUnpinned } from './pinned-images.ts';
import { planEndpoints } from './plan-endpoints.ts';
import { projectPath } from './project-path.ts';
import { CanaryStack } from './stacks/canary-stack.ts';
import { DataStack } from './stacks/data-stack.ts';
import { EdgeStack } from './stacks/edge-stack.ts';
import { GatewayStack } from './stacks/gateway-stack.ts';
import { InferenceStack } from './stacks/inference-stack.ts';
import { JobsStack } from './stacks/jobs-stack.ts';
import { OperationsStack } from './stacks/operations-stack.ts';
import { PrivateStack } from './stacks/private-stack.ts';
import { WeightsStack } from './stacks/weights-stack.ts';

/**
 * Adds every stack: data in the first region, weights, endpoints and a gateway in each, the public name in front of all. What a region needs of
 * another one it finds by name, or reads from the other stack's outputs.
 * @param bundlesFolder where `npm run build` has put the functions.
 */
export function buildApp(
  app: App,
  settings: Settings,
  models: readonly ServedModel[],
  bundlesFolder = projectPath('dist/functions'),
): void {
  const { leastCopies, pinnedImages } = profileOf(settings);
  const endpoints = planEndpoints(models, { regions: settings.regions, leastCopies, instanceType: settings.instanceType });
  const { account, name, regions, containerDigests = {}, unpinnedImages = false, privateNetwork: isPrivate = false } = settings;
  if (pinnedImages && !unpinnedImages) refuseUnpinned(endpoints, containerDigests);
  // CloudFormation hands a stack's tags on to everything in it.
  const place = (region: string) => ({ env: { account, region }, tags: { penstock: name } });
  const [home = ''] = regions;

  const data = new DataStack(app, `${name}-data`, { ...place(home), settings });
  const edge = isPrivate ? undefined : new EdgeStack(app, edgeStackName(settings), { ...place(EDGE_REGION), settings });
  edge?.addStackDependency(data);
  for (const region of regions) {
    const weights = new WeightsStack(app, `${name}-weights-${region}`, place(region));
    const inference = new InferenceStack(app, `${name}-inference-${region}`, {
      ...place(region),
      endpoints,
      weights: weights.bucket,
      key: weights.key,
      digests: containerDigests,
    });
    inference.addStackDependency(weights);
    if (edge === undefined) {
      const network = new PrivateStack(app, `${name}-private-${region}`, { ...place(region), settings, endpoints });
      network.addStackDependency(data);
      network.addStackDependency(inference);
      continue;
    }
    const offline = inference.results && { bucket: inference.results, key: weights.key };
    const jobs = new JobsStack(app, `${name}-jobs-${region}`, { ...place(region), settings, endpoints, bundlesFolder, offline });
    const gateway = new GatewayStack(app, gatewayStackName(settings, region), { ...place(region), settings, endpoints, bundlesFolder });
    const operations = new OperationsStack(app, `${name}-operations-${region}`, { ...place(region), settings, endpoints });
    jobs.addStackDependency(data);
    jobs.addStackDependency(inference);
    gateway.addStackDependency(jobs);
    operations.addStackDependency(gateway);
    edge.addStackDependency(gateway);
    if (canaryMinutesOf(settings) === 0) continue;
    const { topic } = operations;
    const canary = new CanaryStack(app, `${name}-canary-${region}`, { ...place(region), settings, endpoints, bundlesFolder, topic });
    canary.addStackDependency(edge);
    canary.addStackDependency(operations);
  }

  Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
  acknowledgeFindings(
    app,
    settings,
    endpoints.flatMap(({ components }) => components.map(({ deployment }) => deployment.artifactPrefix)),
  );
}
