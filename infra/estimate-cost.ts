import { canaryMinutesOf, profileOf, type Settings } from './config.ts';
import { type EndpointPlan, modelsOf } from './endpoint-plan.ts';
import { WHOLE_CPU_MB } from './function-memory.ts';
import { EDGE_REGION } from './names.ts';

const HOURS = 730;

interface Price {
  readonly dollars: number;
  /** AWS's page with it, for us-east-1. */
  readonly source: string;
}

/** When the prices below were written down. They are fixed and were not asked of AWS: `source` is where to check them. Instances are asked. */
export const PRICES_OF = '2026-11';

/** Only what is due when nobody calls. */
const PRICES = {
  secretMonth: { dollars: 0.4, source: 'https://aws.amazon.com/secrets-manager/pricing/' },
  keyMonth: { dollars: 1, source: 'https://aws.amazon.com/kms/pricing/' },
  alarmMonth: { dollars: 0.1, source: 'https://aws.amazon.com/cloudwatch/pricing/' },
  metricMonth: { dollars: 0.3, source: 'https://aws.amazon.com/cloudwatch/pricing/' },
  compositeAlarmMonth: { dollars: 0.5, source: 'https://aws.amazon.com/cloudwatch/pricing/' },
  provisionedGbSecond: { dollars: 0.000_003_333_4, source: 'https://aws.amazon.com/lambda/pricing/' },
  /** A web ACL and three rules. */
  firewallMonth: { dollars: 8, source: 'https://aws.amazon.com/waf/pricing/' },
  /** A health check of an endpoint outside AWS (0.75, CloudFront's name counts so), over HTTPS (2 on top). */
  probeMonth: { dollars: 2.75, source: 'https://aws.amazon.com/route53/pricing/' },
} as const satisfies Record<string, Price>;

const GATEWAY_GB = WHOLE_CPU_MB / 1024;
/** Of ours and those that target tracking makes. `test/infra/doctor.test.ts` counts them in the templates. */
const ALARMS_PER_REGION = 14;
const COMPOSITE_ALARMS_PER_REGION = 2;
/** Of each model. */
const CANARY_METRICS = 3;

export interface CostLine {
  readonly what: string;
  /** A month, in US dollars; `undefined` when the price is not known. */
  readonly dollars: number | undefined;
  /** Where the price is from. */
  readonly source: string;
}

const PRICE_LIST = "AWS's price list, asked now";

/** What the deployment costs a month when nobody calls. Traffic, tokens and storage come on top. */
export async function estimateIdleCost(
  settings: Settings,
  endpoints: readonly EndpointPlan[],
  hourlyPrice: (region: string, instanceType: string) => Promise<number | undefined>,
): Promise<readonly CostLine[]> {
  const { provisionedConcurrency, firewall, probe, signingKey } = profileOf(settings);
  const canary = canaryMinutesOf(settings) > 0;
  const probed = canary ? endpoints.flatMap(modelsOf).length * settings.regions.length : 0;
  const regions = settings.regions.length;
  const instances: CostLine[] = [];
  for (const region of settings.regions) {
    for (const { name, instanceType, components } of endpoints) {
      const copies = (fewest: number) => components.reduce((sum, { deployment }) => sum + Math.max(deployment.copies.min, fewest), 0);
      const least = copies(canary ? 1 : 0); // it calls oftener than a copy goes to sleep
      const awake = least > copies(0) ? `, ${least - copies(0)} kept awake by the canary` : '';
      const price = least === 0 ? 0 : await hourlyPrice(region, instanceType);
      instances.push({
        what: `${name} in ${region}: ${least} of ${instanceType}${awake}`,
        dollars: price === undefined ? undefined : price * least * HOURS,
        source: PRICE_LIST,
      });
    }
  }
  const fixed = (what: string, count: number, { dollars, source }: Price): CostLine => ({ what, dollars: dollars * count, source });
  const secrets = regions + new Set([...settings.regions, EDGE_REGION]).size;
  const warmSeconds = provisionedConcurrency * GATEWAY_GB * 3600 * HOURS * regions;
  return [
    ...instances,
    fixed('secrets and their replicas', secrets, PRICES.secretMonth),
    fixed('keys', (signingKey ? 2 : 1) * regions, PRICES.keyMonth),
    fixed('alarms', ALARMS_PER_REGION * regions, PRICES.alarmMonth),
    fixed('composite alarms', COMPOSITE_ALARMS_PER_REGION * regions, PRICES.compositeAlarmMonth),
    ...(provisionedConcurrency === 0
      ? []
      : [fixed(`${provisionedConcurrency} warm gateways in each region`, warmSeconds, PRICES.provisionedGbSecond)]),
    ...(firewall ? [fixed('firewall', 1, PRICES.firewallMonth)] : []),
    ...(canary
      ? [
          fixed('secrets of the canary', regions, PRICES.secretMonth),
          fixed('alarms of the canary', probed, PRICES.alarmMonth),
          fixed('metrics of the canary', CANARY_METRICS * probed, PRICES.metricMonth),
        ]
      : []),
    ...(probe ? [fixed('probe', 1, PRICES.probeMonth)] : []),
  ];
}
