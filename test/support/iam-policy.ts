import type { AwsCall } from './aws-calls.ts';

export interface PolicyStatement {
  readonly Effect?: string;
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
}

export interface Mismatch {
  /** Calls that no statement allows. */
  readonly missing: readonly string[];
  /** Permissions that no call used: an action of a statement, or a resource. */
  readonly unused: readonly string[];
}

/** Compares what was called with what is allowed. Resources are compared by what follows the account in their ARNs. */
export function comparePolicy(calls: readonly AwsCall[], statements: readonly PolicyStatement[]): Mismatch {
  const allowed = statements.map(({ Action, Resource }) => ({
    actions: [Action].flat() as string[],
    resources: [Resource].flat().map(resourceOf),
  }));
  const covers = (pattern: string, text: string) => toRegExp(pattern).test(text);
  const missing = calls.filter(
    ({ action, resource }) =>
      !allowed.some(
        ({ actions, resources }) => actions.some((each) => covers(each, action)) && resources.some((each) => covers(each, resource)),
      ),
  );
  const unused = allowed.flatMap(({ actions, resources }) => {
    const used = calls.filter(
      ({ action, resource }) => actions.some((each) => covers(each, action)) && resources.some((each) => covers(each, resource)),
    );
    return [
      // A wildcard stands for many permissions, of which a trace uses some: it is never used up.
      ...actions.filter((each) => each.includes('*') || !used.some(({ action }) => covers(each, action))),
      ...resources.filter((each) => each === '*' || !used.some(({ resource }) => covers(each, resource))),
    ];
  });
  return {
    missing: [...new Set(missing.map(({ action, resource }) => `${action} ${resource}`))].sort(),
    unused: [...new Set(unused)].sort(),
  };
}

/** `endpoint/NAME` of an ARN that CloudFormation joins from parts. */
function resourceOf(resource: unknown): string {
  const text = typeof resource === 'string' ? resource : joined(resource);
  return text.replace(/^arn:[^:]*:[^:]*:[^:]*:[^:]*:/, '');
}

function joined(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'object' && value !== null && 'Fn::Join' in value) {
    const [separator, parts] = value['Fn::Join'] as [string, unknown[]]; // CloudFormation's own form
    return parts.map(joined).join(separator);
  }
  return 'aws'; // the partition is the only reference in our resources
}

/** IAM's `*` and `?`; the six characters that end a secret's ARN may be missing from the name that was called. */
function toRegExp(pattern: string): RegExp {
  const escaped = pattern.replace(/-\?{6}$/, '').replaceAll(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`);
}
