import { Duration, Stack, type StackProps } from 'aws-cdk-lib';
import { CfnBudget } from 'aws-cdk-lib/aws-budgets';
import {
  Alarm,
  AlarmRule,
  CompositeAlarm,
  Dashboard,
  GraphWidget,
  type IMetric,
  MathExpression,
  Metric,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { Topic } from 'aws-cdk-lib/aws-sns';
import type { Construct } from 'constructs';
import { canaryMinutesOf, type Settings } from '../config.ts';
import { createAlarmTopic } from '../constructs/alarm-topic.ts';
import { type CanaryMetricName, canaryMetric } from '../constructs/canary-metric.ts';
import { COUNTED_LINES, eachOf, errorMetric } from '../constructs/counted-lines.ts';
import { type EndpointPlan, modelsOf } from '../endpoint-plan.ts';
import { failedJobsName, gatewayName, jobsName, LIVE, tableName } from '../names.ts';

export interface OperationsStackProps extends StackProps {
  readonly settings: Settings;
  readonly endpoints: readonly EndpointPlan[];
}

/** Of a hundred requests, so many are answered without an error of ours, over 30 days. */
const OBJECTIVE = 0.995;

/**
 * Multi-window, multi-burn-rate alarms (Google SRE Workbook, chapter 5): both windows must burn the error budget this much faster than it
 * would last 30 days.
 */
const BURNS = [
  { name: 'FastBurn', rate: 14.4, long: Duration.hours(1), short: Duration.minutes(5) },
  { name: 'SlowBurn', rate: 6, long: Duration.hours(6), short: Duration.minutes(30) },
] as const;

/** What whoever is on call looks at in one region, and what calls them. */
export class OperationsStack extends Stack {
  /** Tells whoever is on call in this region. */
  readonly topic: Topic;
  readonly #props: OperationsStackProps;

  constructor(scope: Construct, id: string, props: OperationsStackProps) {
    const { settings, endpoints: _, ...stackProps } = props;
    super(scope, id, { ...stackProps, description: 'Penstock: dashboard, alarms and budget' });
    this.#props = props;
    this.topic = createAlarmTopic(this, settings);
    this.#alarmOnBurns();
    this.#alarmOnDependencies();
    this.#alarmOnJobs();
    this.#createDashboard();
    if (this.region === settings.regions[0]) this.#createBudget();
  }

  #gatewayMetric(metricName: string, period: Duration, statistic = Stats.SUM): Metric {
    const name = gatewayName(this.#props.settings);
    const dimensionsMap = { FunctionName: name, Resource: `${name}:${LIVE}` };
    return new Metric({ namespace: 'AWS/Lambda', metricName, dimensionsMap, statistic, period });
  }

  /** A stream that broke was answered with 200: only the log knows. */
  #errorRatio(period: Duration): IMetric {
    return new MathExpression({
      expression: 'IF(requests > 0, (failures + FILL(broken, 0)) / requests, 0)',
      usingMetrics: {
        failures: this.#gatewayMetric('Url5xxCount', period),
        broken: errorMetric(this.#props.settings, 'stream-failed', period),
        requests: this.#gatewayMetric('UrlRequestCount', period),
      },
      label: 'errors per request',
      period,
    });
  }

  #alarmOnBurns(): void {
    for (const { name, rate, long, short } of BURNS) {
      const threshold = rate * (1 - OBJECTIVE);
      const [sustained, current] = [long, short].map(
        (period, index) =>
          new Alarm(this, `${name}${index === 0 ? 'Sustained' : 'Current'}`, {
            metric: this.#errorRatio(period),
            threshold,
            evaluationPeriods: 1,
            treatMissingData: TreatMissingData.NOT_BREACHING,
          }),
      );
      if (sustained === undefined || current === undefined) continue;
      new CompositeAlarm(this, name, {
        alarmDescription: `Errors use up the budget of ${OBJECTIVE * 100} % at ${rate} times the pace. Runbook: docs/operations.md#${name.toLowerCase()}`,
        alarmRule: AlarmRule.allOf(sustained, current),
      }).addAlarmAction(new SnsAction(this.topic));
    }
  }

  #alarmOnDependencies(): void {
    const minute = Duration.minutes(1);
    this.#alarm('GatewayThrottled', 'Lambda turned requests away', this.#gatewayMetric('Throttles', minute), 1, 3);
    const table = (metricName: string) =>
      new Metric({
        namespace: 'AWS/DynamoDB',
        metricName,
        dimensionsMap: { TableName: tableName(this.#props.settings) },
        statistic: Stats.SUM,
      });
    this.#alarm('TableThrottled', 'DynamoDB turned reads or writes away', table('ThrottledRequests').with({ period: minute }), 10, 3);
    for (const { components } of this.#props.endpoints) {
      for (const { name } of components) {
        const refused = new Metric({
          namespace: 'AWS/SageMaker',
          metricName: 'NoCapacityInvocationFailures',
          dimensionsMap: { InferenceComponentName: name },
          statistic: Stats.SUM,
          period: minute,
        });
        this.#alarm(`NoCopyComes-${name}`, `Requests for ${name} have found no copy for 20 minutes`, refused, 1, 20);
      }
    }
  }

  #alarmOnJobs(): void {
    const { settings } = this.#props;
    const metric = (QueueName: string, metricName: string) =>
      new Metric({
        namespace: 'AWS/SQS',
        metricName,
        dimensionsMap: { QueueName },
        statistic: Stats.MAXIMUM,
        period: Duration.minutes(5),
      });
    const failed = metric(failedJobsName(settings), 'ApproximateNumberOfMessagesVisible');
    this.#alarm('JobsFailed', 'Background responses were tried in vain', failed, 1, 1);
    const age = metric(jobsName(settings), 'ApproximateAgeOfOldestMessage');
    this.#alarm('JobsWait', 'Background responses wait for more than half an hour', age, Duration.minutes(30).toSeconds(), 1);
  }

  #alarm(id: string, what: string, metric: IMetric, threshold: number, evaluationPeriods: number): void {
    const anchor = id.split('-')[0]?.toLowerCase();
    new Alarm(this, id, {
      alarmDescription: `${what}. Runbook: docs/operations.md#${anchor}`,
      metric,
      threshold,
      evaluationPeriods,
      treatMissingData: TreatMissingData.NOT_BREACHING,
    }).addAlarmAction(new SnsAction(this.topic));
  }

  #createDashboard(): void {
    const minute = Duration.minutes(1);
    const model = (metricName: string, statistic: string) =>
      this.#props.endpoints.flatMap(({ components }) =>
        components.map(
          ({ name }) =>
            new Metric({
              namespace: 'AWS/SageMaker',
              metricName,
              dimensionsMap: { InferenceComponentName: name },
              statistic,
              period: minute,
              label: name,
            }),
        ),
      );
    const { settings, endpoints } = this.#props;
    const count = (lines: keyof typeof COUNTED_LINES) => eachOf(COUNTED_LINES[lines], settings, Duration.minutes(5));
    const canary = (name: CanaryMetricName) =>
      endpoints.flatMap(modelsOf).map(({ id }) => canaryMetric(settings, name, id).with({ label: id }));
    const graph = (title: string, left: IMetric[]) => new GraphWidget({ title, left, width: 8 });
    new Dashboard(this, 'Dashboard', {
      widgets: [
        [
          graph(
            'Requests and errors',
            ['UrlRequestCount', 'Url4xxCount', 'Url5xxCount'].map((name) => this.#gatewayMetric(name, minute)),
          ),
          graph('Errors per request', [this.#errorRatio(Duration.minutes(5))]),
          graph('Gateways at work', [this.#gatewayMetric('ConcurrentExecutions', minute, Stats.MAXIMUM)]),
        ],
        [
          graph('Requests in flight per copy', model('ConcurrentRequestsPerCopy', Stats.AVERAGE)),
          graph('Calls that found no copy', model('NoCapacityInvocationFailures', Stats.SUM)),
          graph('Time in the model (p90, microseconds)', model('ModelLatency', Stats.p(90))),
        ],
        [
          graph('Errors in the log', [count('errors')]),
          graph('Warnings in the log', [count('warnings')]),
          graph('Safety verdicts', [count('inputVerdicts'), count('outputVerdicts')]),
        ],
        ...(canaryMinutesOf(settings) === 0
          ? []
          : [
              [
                graph('Canary: good generations', canary('CanarySuccess')),
                graph('Canary: time to the first token (ms)', canary('CanaryTimeToFirstToken')),
                graph('Canary: tokens per second', canary('CanaryTokensPerSecond')),
              ],
            ]),
      ],
    });
  }

  #createBudget(): void {
    const { monthlyBudget, alarmEmail, name } = this.#props.settings;
    if (monthlyBudget === undefined || alarmEmail === undefined) return;
    const notify = (notificationType: 'ACTUAL' | 'FORECASTED', threshold: number) => ({
      notification: { notificationType, threshold, thresholdType: 'PERCENTAGE', comparisonOperator: 'GREATER_THAN' },
      subscribers: [{ subscriptionType: 'EMAIL', address: alarmEmail }],
    });
    new CfnBudget(this, 'Budget', {
      budget: { budgetName: name, budgetType: 'COST', timeUnit: 'MONTHLY', budgetLimit: { amount: monthlyBudget, unit: 'USD' } },
      notificationsWithSubscribers: [notify('ACTUAL', 80), notify('ACTUAL', 100), notify('FORECASTED', 100)],
    });
  }
}
