import type { CanaryFailedError } from './check-answer.ts';
import type { Measurement } from './probe-generation.ts';

interface Line {
  readonly namespace: string;
  readonly model: string;
  /** Unix time in milliseconds. */
  readonly timestamp: number;
}

export type CanaryLine = Line & ({ readonly measurement: Measurement } | { readonly failed: CanaryFailedError });

const UNITS = { CanarySuccess: 'Count', CanaryTimeToFirstToken: 'Milliseconds', CanaryTokensPerSecond: 'Count/Second' } as const;

/**
 * A log line out of which CloudWatch takes metrics by itself; times are there only for a generation that was good.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function encodeMetrics(line: CanaryLine): string {
  const values: Partial<Record<keyof typeof UNITS, number>> =
    'failed' in line
      ? { CanarySuccess: 0 }
      : {
          CanarySuccess: 1,
          CanaryTimeToFirstToken: line.measurement.timeToFirstTokenMs,
          ...(line.measurement.tokensPerSecond === undefined ? {} : { CanaryTokensPerSecond: line.measurement.tokensPerSecond }),
        };
  const names = Object.keys(values) as (keyof typeof UNITS)[]; // made right above
  const more =
    'failed' in line
      ? { level: 'error', failure: line.failed.failure, detail: line.failed.detail, requestId: line.failed.requestId }
      : { level: 'info', completionTokens: line.measurement.completionTokens, requestId: line.measurement.requestId };
  return `${JSON.stringify({
    _aws: {
      Timestamp: line.timestamp,
      CloudWatchMetrics: [
        { Namespace: line.namespace, Dimensions: [['Model']], Metrics: names.map((Name) => ({ Name, Unit: UNITS[Name] })) },
      ],
    },
    time: new Date(line.timestamp).toISOString(),
    event: 'canary',
    Model: line.model,
    ...values,
    ...more,
  })}\n`;
}
