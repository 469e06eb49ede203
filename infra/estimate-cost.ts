import { profileOf, type Settings } from './config.ts';
import type { EndpointPlan } from './endpoint-plan.ts';
import { EDGE_REGION } from './names.ts';

const HOURS = 730;

/** US dollars, AWS's list prices of us-east-1 in 2026. Only what is due when nobody calls; instances are asked of AWS's price list. */
const PRICES = {
  secretMonth: 0.4,
  keyMonth: 1,
  alarmMonth: 0.1,
  provisionedGbSecond: 0.000_003_333_4,
  firewallMonth: 8,
  probeMonth: 2,
} as const;

const GATEWAY_GB = 1769 / 1024;
const ALARMS_PER_REGION = 10;

export interface CostLine {
  readonly what: string;
  /** A month, in US dollars; `undefined` when the price is not known. */
  readonly dollars: number | undefined;
}

/** What the deployment costs a month when nobody calls. Traffic, tokens and storage come on top. */
export async function estimateIdleCost(
  settings: Settings,
  endpoints: readonly EndpointPlan[],
  hourlyPrice: (region: string, instanceType: string) => Promise<number | undefined>,
): Promise<readonly CostLine[]> {
  const { provisionedConcurrency, firewall, probe, signingKey } = profileOf(settings);
  const regions = settings.regions.length;
  const instances: CostLine[] = [];
  for (const region of settings.regions) {
    for (const { name, instanceType, components } of endpoints) {
      const least = components.reduce((sum, { deployment }) => sum + deployment.copies.min, 0);
      const price = least === 0 ? 0 : await hourlyPrice(region, instanceType);
      instances.push({
        what: `${name} in ${region}: ${least} of ${instanceType}`,
        dollars: price === undefined ? undefined : price * least * HOURS,
      });
    }
  }
  const warm = provisionedConcurrency * GATEWAY_GB * PRICES.provisionedGbSecond * 3600 * HOURS * regions;
  return [
    ...instances,
    { what: 'secrets and their replicas', dollars: PRICES.secretMonth * (regions + new Set([...settings.regions, EDGE_REGION]).size) },
    { what: 'keys', dollars: PRICES.keyMonth * (signingKey ? 2 : 1) * regions },
    { what: 'alarms', dollars: PRICES.alarmMonth * ALARMS_PER_REGION * regions },
    ...(provisionedConcurrency === 0 ? [] : [{ what: `${provisionedConcurrency} warm gateways in each region`, dollars: warm }]),
    ...(firewall ? [{ what: 'firewall', dollars: PRICES.firewallMonth }] : []),
    ...(probe ? [{ what: 'probe', dollars: PRICES.probeMonth }] : []),
  ];
}
