import { CfnOutput, Duration, Stack, type StackProps } from 'aws-cdk-lib';
import { Alarm, ComparisonOperator, TreatMissingData } from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import { Rule, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { canaryMinutesOf, type Settings } from '../config.ts';
import { canaryMetric } from '../constructs/canary-metric.ts';
import { createEventFunction, createLog } from '../constructs/event-function.ts';
import { allow, allowLog, createFunctionRole } from '../constructs/pipeline-role.ts';
import { stackOutput } from '../constructs/stack-output.ts';
import { type EndpointPlan, modelsOf } from '../endpoint-plan.ts';
import { CANARY_MB } from '../function-memory.ts';
import { BASE_URL_OUTPUT, canaryName, EDGE_REGION, edgeStackName, metricsNamespace } from '../names.ts';

export interface CanaryStackProps extends StackProps {
  readonly settings: Settings;
  readonly endpoints: readonly EndpointPlan[];
  readonly bundlesFolder: string;
  /** Tells whoever is on call in this region. */
  readonly topic: ITopic;
}

/** How long an answer may take until it has failed, and what the function has on top to write that down. */
const DEADLINE = Duration.seconds(60);
const TIMEOUT = Duration.seconds(75);
/** So many runs in a row must fail: one may meet a copy that is just being replaced. */
const FAILURES = 3;

/** Sees whether a caller near this region would get an answer just now: by asking for one, at the public address. */
export class CanaryStack extends Stack {
  constructor(scope: Construct, id: string, { settings, endpoints, bundlesFolder, topic, ...props }: CanaryStackProps) {
    super(scope, id, { ...props, description: 'Penstock: a generation at the public address, every few minutes' });
    // What is generated here is no good key: docs/operations.md tells how to put one in its place. CloudFormation names it, so that a canary that
    // was switched off can be switched on again.
    const key = new Secret(this, 'ApiKey', { description: "The canary's API key" });
    new CfnOutput(this, 'CanaryKey', { value: key.secretArn, description: 'The secret to put an API key into' });
    const logs = createLog(this, settings);
    const role = createFunctionRole(this, 'Penstock canary: its key, its log');
    allow(role, ['secretsmanager:GetSecretValue'], [key.secretArn]);
    allowLog(role, logs);
    const every = Duration.minutes(canaryMinutesOf(settings));
    const { domain } = settings;
    const canary = createEventFunction(this, 'Canary', {
      functionName: canaryName(settings),
      description: 'Penstock canary',
      bundlesFolder,
      bundle: 'canary-function',
      memoryMb: CANARY_MB,
      timeout: TIMEOUT,
      role,
      logs,
      environment: {
        CANARY_BASE_URL:
          domain === undefined ? stackOutput(edgeStackName(settings), EDGE_REGION, BASE_URL_OUTPUT) : `https://${domain.name}/v1`,
        CANARY_MODELS: JSON.stringify(endpoints.flatMap(modelsOf).map(({ id: model }) => model)),
        CANARY_API_KEY_ARN: key.secretArn,
        CANARY_NAMESPACE: metricsNamespace(settings),
        CANARY_DEADLINE_SECONDS: String(DEADLINE.toSeconds()),
      },
    });
    // A run that failed is a finding; a second try would hide it.
    canary.configureAsyncInvoke({ retryAttempts: 0 });
    const target = new LambdaFunction(canary, { retryAttempts: 0, maxEventAge: Duration.minutes(1) });
    new Rule(this, 'Schedule', { description: 'Penstock canary', schedule: Schedule.rate(every), targets: [target] });
    for (const { components } of endpoints) {
      for (const { name, model, adapters } of components) {
        this.#alarm(name, model.id, settings, topic);
        for (const adapter of adapters) this.#alarm(adapter.name, adapter.model.id, settings, topic);
      }
    }
  }

  /** A run that says nothing is as bad as one that failed. */
  #alarm(component: string, model: string, settings: Settings, topic: ITopic): void {
    new Alarm(this, `CanaryFails-${component}`, {
      alarmDescription: `${FAILURES} generations of ${model} in a row have failed at the public address. Runbook: docs/operations.md#canaryfails`,
      metric: canaryMetric(settings, 'CanarySuccess', model),
      threshold: 1,
      comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
      evaluationPeriods: FAILURES,
      treatMissingData: TreatMissingData.BREACHING,
    }).addAlarmAction(new SnsAction(topic));
  }
}
