/**
 * AWS's list prices of what costs money while nobody calls, in US dollars, for us-east-1. Instances are not here: AWS is asked for those. Nobody asks
 * AWS for these, so they may be outdated: each says when it was written down and where to look, and `prices` in cdk.json puts another in its place.
 */
import * as v from 'valibot';

export interface ListPrice {
  readonly dollars: number;
  /** AWS's page with it. */
  readonly source: string;
  /** When it was written down. */
  readonly date: string;
}

const cloudWatch = { source: 'https://aws.amazon.com/cloudwatch/pricing/', date: '2026-11' } as const;

export const LIST_PRICES = {
  secretMonth: { dollars: 0.4, source: 'https://aws.amazon.com/secrets-manager/pricing/', date: '2026-11' },
  keyMonth: { dollars: 1, source: 'https://aws.amazon.com/kms/pricing/', date: '2026-11' },
  alarmMonth: { dollars: 0.1, ...cloudWatch },
  compositeAlarmMonth: { dollars: 0.5, ...cloudWatch },
  metricMonth: { dollars: 0.3, ...cloudWatch },
  provisionedGbSecond: { dollars: 0.000_003_333_4, source: 'https://aws.amazon.com/lambda/pricing/', date: '2026-11' },
  /** Of each zone. */
  interfaceEndpointHour: { dollars: 0.01, source: 'https://aws.amazon.com/privatelink/pricing/', date: '2026-11' },
  /** A web ACL and three rules. */
  firewallMonth: { dollars: 8, source: 'https://aws.amazon.com/waf/pricing/', date: '2026-11' },
  /** A health check of an endpoint outside AWS (0.75, CloudFront's name counts so), over HTTPS (2 on top). */
  probeMonth: { dollars: 2.75, source: 'https://aws.amazon.com/route53/pricing/', date: '2026-11' },
} as const satisfies Record<string, ListPrice>;

export type PriceName = keyof typeof LIST_PRICES;

const price = v.pipe(v.number('must be a number of dollars'), v.minValue(0, 'must be at least 0'));
const dollars = v.optional(price);

/** What may stand in the place of a list price, and of an instance's price that AWS does not tell. */
export const pricesSchema = v.strictObject({
  secretMonth: dollars,
  keyMonth: dollars,
  alarmMonth: dollars,
  compositeAlarmMonth: dollars,
  metricMonth: dollars,
  provisionedGbSecond: dollars,
  interfaceEndpointHour: dollars,
  firewallMonth: dollars,
  probeMonth: dollars,
  /** By instance type: `{ "ml.g6.xlarge": 1.13 }`. */
  instanceHour: v.optional(v.record(v.string(), price)),
} satisfies Record<PriceName | 'instanceHour', unknown>);

export type OwnPrices = v.InferOutput<typeof pricesSchema>;
