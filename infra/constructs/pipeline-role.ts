import type { Stack } from 'aws-cdk-lib';
import { PolicyStatement, Role, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { LogGroup } from 'aws-cdk-lib/aws-logs';
import { componentNames, type EndpointPlan } from '../endpoint-plan.ts';

/**
 * The role of a function that generates: its log and its table, and what it adds. `test/infra/least-privilege.test.ts` compares it with the calls
 * that the function makes.
 */
export function createPipelineRole(
  stack: Stack,
  what: { readonly description: string; readonly tableName: string; readonly logs: LogGroup },
): Role {
  const role = new Role(stack, 'Role', { description: what.description, assumedBy: new ServicePrincipal('lambda.amazonaws.com') });
  allow(
    role,
    ['GetItem', 'PutItem', 'UpdateItem', 'DeleteItem', 'Query'].map((action) => `dynamodb:${action}`),
    [stack.formatArn({ service: 'dynamodb', resource: 'table', resourceName: what.tableName })],
  );
  allow(role, ['logs:CreateLogStream', 'logs:PutLogEvents'], [`${what.logs.logGroupArn}:*`]);
  return role;
}

export function allow(role: Role, actions: readonly string[], resources: readonly string[]): void {
  role.addToPolicy(new PolicyStatement({ actions: [...actions], resources: [...resources] }));
}

/** Exactly the endpoints and components that the catalog routes to. */
export function endpointArns(stack: Stack, endpoints: readonly EndpointPlan[]): string[] {
  const arn = (resource: string, resourceName: string) => stack.formatArn({ service: 'sagemaker', resource, resourceName });
  return endpoints.flatMap((plan) => [arn('endpoint', plan.name), ...componentNames(plan).map((name) => arn('inference-component', name))]);
}
