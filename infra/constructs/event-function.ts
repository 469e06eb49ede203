import { join } from 'node:path';
import { type Duration, RemovalPolicy, type Stack } from 'aws-cdk-lib';
import { Unit } from 'aws-cdk-lib/aws-cloudwatch';
import type { Role } from 'aws-cdk-lib/aws-iam';
import { Architecture, Code, Function as EventFunction, type LayerVersion, LoggingFormat, Runtime } from 'aws-cdk-lib/aws-lambda';
import { FilterPattern, LogGroup } from 'aws-cdk-lib/aws-logs';
import { profileOf, type Settings } from '../config.ts';
import { metricsNamespace } from '../names.ts';
import { COUNTED_LINES } from './counted-lines.ts';
import { identifyBundle } from './identify-bundle.ts';

export interface EventFunctionProps {
  readonly functionName: string;
  readonly description: string;
  readonly bundlesFolder: string;
  /** The bundle's folder, as `functions/bundle.ts` names it. */
  readonly bundle: string;
  readonly memoryMb: number;
  readonly timeout: Duration;
  readonly layers?: LayerVersion[];
  readonly role: Role;
  readonly logs: LogGroup;
  readonly environment: Readonly<Record<string, string>>;
}

/** What all our event functions share: runtime, processor, handler, and lines of JSON in a log group that is theirs. */
export function createEventFunction(stack: Stack, id: string, props: EventFunctionProps): EventFunction {
  const { bundlesFolder, bundle, memoryMb, logs, ...rest } = props;
  const folder = join(bundlesFolder, bundle);
  return new EventFunction(stack, id, {
    ...rest,
    runtime: Runtime.NODEJS_24_X,
    architecture: Architecture.ARM_64,
    memorySize: memoryMb,
    handler: 'index.handler',
    code: Code.fromAsset(folder, identifyBundle(folder)),
    logGroup: logs,
    loggingFormat: LoggingFormat.JSON,
  });
}

/** The log of a function that generates: what goes wrong in it, and what its safety policy finds, are counted. */
export function createFunctionLog(stack: Stack, settings: Settings): LogGroup {
  const logs = createLog(stack, settings);
  for (const { metricName, of, dimensions } of Object.values(COUNTED_LINES)) {
    logs.addMetricFilter(metricName, {
      filterPattern: FilterPattern.stringValue(of.field, '=', of.value),
      metricNamespace: metricsNamespace(settings),
      metricName,
      metricValue: '1',
      dimensions,
      unit: Unit.COUNT,
    });
  }
  return logs;
}

/** A function's log, kept as long as the profile says. */
export function createLog(stack: Stack, settings: Settings): LogGroup {
  return new LogGroup(stack, 'Logs', { retention: profileOf(settings).logRetentionDays, removalPolicy: RemovalPolicy.DESTROY });
}
