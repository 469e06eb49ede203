import { Duration } from 'aws-cdk-lib';
import { Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { canaryMinutesOf, type Settings } from '../config.ts';
import { metricsNamespace } from '../names.ts';

/** What the canary measures (`functions/canary/encode-metrics.ts`). Each run gives one value, so a run is a period. */
export type CanaryMetricName = 'CanarySuccess' | 'CanaryTimeToFirstToken' | 'CanaryTokensPerSecond';

export function canaryMetric(settings: Settings, metricName: CanaryMetricName, model: string): Metric {
  return new Metric({
    namespace: metricsNamespace(settings),
    metricName,
    dimensionsMap: { Model: model },
    statistic: metricName === 'CanarySuccess' ? Stats.MINIMUM : Stats.AVERAGE,
    period: Duration.minutes(canaryMinutesOf(settings)),
  });
}
