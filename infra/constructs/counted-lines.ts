import type { Duration } from 'aws-cdk-lib';
import { type IMetric, MathExpression, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { Settings } from '../config.ts';
import { metricsNamespace } from '../names.ts';

interface CountedLines {
  readonly metricName: string;
  /** Which lines: those whose field has this value. */
  readonly of: { readonly field: string; readonly value: string };
  /** What they are told apart by. Each value that comes is a metric of its own, so fields with few values only. */
  readonly dimensions: Readonly<Record<string, string>>;
}

/**
 * Log lines (`functions/drivers/json-log.ts`) that CloudWatch counts. Errors and warnings are told apart by their event, so that a line which is
 * added to the code is counted as well.
 */
export const COUNTED_LINES = {
  errors: { metricName: 'Errors', of: { field: '$.level', value: 'error' }, dimensions: { Event: '$.event' } },
  warnings: { metricName: 'Warnings', of: { field: '$.level', value: 'warn' }, dimensions: { Event: '$.event' } },
  inputVerdicts: { metricName: 'SafetyInput', of: { field: '$.event', value: 'safety-input' }, dimensions: { Action: '$.action' } },
  outputVerdicts: { metricName: 'SafetyOutput', of: { field: '$.event', value: 'safety-output' }, dimensions: { Action: '$.action' } },
} as const satisfies Record<string, CountedLines>;

/** How often an error came. There is no value while it does not come. */
export function errorMetric(settings: Settings, event: string, period: Duration): Metric {
  return new Metric({
    namespace: metricsNamespace(settings),
    metricName: COUNTED_LINES.errors.metricName,
    dimensionsMap: { Event: event },
    statistic: Stats.SUM,
    period,
  });
}

/** For dashboards: a line for each value of the dimension that has come. */
export function eachOf({ metricName, dimensions }: CountedLines, settings: Settings, period: Duration): IMetric {
  const schema = [`"${metricsNamespace(settings)}"`, ...Object.keys(dimensions)].join(',');
  return new MathExpression({
    expression: `SEARCH('{${schema}} MetricName="${metricName}"', 'Sum', ${period.toSeconds()})`,
    usingMetrics: {},
    label: metricName,
    period,
  });
}
