import type { Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { LogGroup } from 'aws-cdk-lib/aws-logs';
import { asyncEndpointName } from '../../models/catalog.ts';
import type { Settings } from '../config.ts';
import { type EndpointPlan, modelsOf } from '../endpoint-plan.ts';
import { switchesName } from '../names.ts';

/**
 * The role of a function that generates: its log and its table, and what it adds. `test/infra/least-privilege.test.ts` compares it with the calls
 * that the function makes.
 */
export function createPipelineRole(
  stack: Stack,
  what: { readonly description: string; readonly tableName: string; readonly logs: LogGroup },
): Role {
  const role = createFunctionRole(stack, what.description);
  allowTable(role, stack, what.tableName);
  allowLog(role, what.logs);
  return role;
}

/** A role that may nothing yet. */
export function createFunctionRole(stack: Stack, description: string): Role {
  return new Role(stack, 'Role', { description, assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
}

export function allowTable(role: Role, stack: Stack, tableName: string): void {
  const actions = ['GetItem', 'PutItem', 'UpdateItem', 'DeleteItem', 'Query'].map((action) => `dynamodb:${action}`);
  allow(role, actions, [stack.formatArn({ service: 'dynamodb', resource: 'table', resourceName: tableName })]);
}

export function allowLog(role: Role, logs: LogGroup): void {
  allow(role, ['logs:CreateLogStream', 'logs:PutLogEvents'], [`${logs.logGroupArn}:*`]);
}

export function allow(role: Role, actions: readonly string[], resources: readonly string[]): void {
  role.addToPolicy(new PolicyStatement({ actions: [...actions], resources: [...resources] }));
}

/** To call endpoints, and to see what runs behind them. @param arns as `endpointArns` gives them. */
export function allowEndpoints(role: Role, arns: readonly string[]): void {
  allow(role, ['sagemaker:InvokeEndpoint', 'sagemaker:InvokeEndpointWithResponseStream'], arns);
  const components = arns.filter((arn) => arn.includes(':inference-component/'));
  allow(role, ['sagemaker:DescribeInferenceComponent'], components);
}

/** To read what is switched without a deployment; the gateway's stack makes it. */
export function allowSwitches(role: Role, stack: Stack, settings: Settings): void {
  const name = switchesName(settings).slice(1);
  allow(role, ['ssm:GetParameter'], [stack.formatArn({ service: 'ssm', resource: 'parameter', resourceName: name })]);
}

/** Exactly the endpoints and components that the catalog routes to: those of all regions, which stand in for each other. */
export function endpointArns(stack: Stack, endpoints: readonly EndpointPlan[], { regions }: Settings): string[] {
  const targets = endpoints.flatMap(modelsOf).flatMap(({ endpoint, alternatives = [] }) => [endpoint, ...alternatives]);
  const arns = targets.flatMap(({ name, inferenceComponent, region: only }) =>
    (only === undefined ? regions : [only]).flatMap((region) => {
      const arn = (resource: string, resourceName: string) => stack.formatArn({ service: 'sagemaker', region, resource, resourceName });
      return [arn('endpoint', name), ...(inferenceComponent === undefined ? [] : [arn('inference-component', inferenceComponent)])];
    }),
  );
  return [...new Set(arns)];
}

/** The asynchronous endpoints of a region. */
export function asyncEndpointArns(stack: Stack, endpoints: readonly EndpointPlan[]): string[] {
  const components = endpoints.flatMap((plan) => plan.components).filter(({ deployment }) => deployment.asynchronous !== undefined);
  return components.map(({ name }) =>
    stack.formatArn({ service: 'sagemaker', resource: 'endpoint', resourceName: asyncEndpointName(name) }),
  );
}

/** What tells a function where else its endpoints are. */
export function otherRegions({ region: own }: Stack, { regions }: Settings): Readonly<Record<string, string>> {
  const others = regions.filter((region) => region !== own);
  return others.length === 0 ? {} : { PENSTOCK_OTHER_REGIONS: others.join(',') };
}
