import { canaryMinutesOf, profileOf, provisionedConcurrencyOf, type Settings } from './config.ts';
import { type EndpointPlan, modelsOf } from './endpoint-plan.ts';
import { WHOLE_CPU_MB } from './function-memory.ts';
import { LIST_PRICES, type PriceName } from './list-prices.ts';
import { EDGE_REGION, PRIVATE_SERVICES, ZONES } from './names.ts';

const HOURS = 730;
const GATEWAY_GB = WHOLE_CPU_MB / 1024;
/** Of ours and those that target tracking makes. `test/infra/doctor.test.ts` counts them in the templates. */
const ALARMS_PER_REGION = 14;
const COMPOSITE_ALARMS_PER_REGION = 2;
/** Of these, those that an inference stack has. */
const INFERENCE_ALARMS = 4;
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
const NOT_TOLD = "AWS's price list did not tell: prices.instanceHour in cdk.json may";
const OWN_PRICE = 'your price, in cdk.json';

/** What the deployment costs a month when nobody calls. Traffic, tokens and storage come on top. */
export async function estimateIdleCost(
  settings: Settings,
  endpoints: readonly EndpointPlan[],
  hourlyPrice: (region: string, instanceType: string) => Promise<number | undefined>,
): Promise<readonly CostLine[]> {
  const { firewall, probe, signingKey } = profileOf(settings);
  const provisionedConcurrency = provisionedConcurrencyOf(settings);
  const canary = canaryMinutesOf(settings) > 0;
  const probed = canary ? endpoints.flatMap(modelsOf).length * settings.regions.length : 0;
  const regions = settings.regions.length;
  const { instanceHour = {}, ...own } = settings.prices ?? {};
  const instances: CostLine[] = [];
  for (const region of settings.regions) {
    for (const { name, instanceType, components } of endpoints) {
      const copies = (fewest: number) => components.reduce((sum, { deployment }) => sum + Math.max(deployment.copies.min, fewest), 0);
      const least = copies(canary ? 1 : 0); // it calls oftener than a copy goes to sleep
      const awake = least > copies(0) ? `, ${least - copies(0)} kept awake by the canary` : '';
      const yours = instanceHour[instanceType];
      const price = least === 0 ? 0 : (yours ?? (await hourlyPrice(region, instanceType)));
      instances.push({
        what: `${name} in ${region}: ${least} of ${instanceType}${awake}`,
        dollars: price === undefined ? undefined : price * least * HOURS,
        source: yours !== undefined ? OWN_PRICE : price === undefined ? NOT_TOLD : PRICE_LIST,
      });
    }
  }
  const fixed = (what: string, count: number, name: PriceName): CostLine => {
    const { dollars, source, date } = LIST_PRICES[name];
    const yours = own[name];
    return yours === undefined
      ? { what, dollars: dollars * count, source: `list price of us-east-1, ${date}: ${source}` }
      : { what, dollars: yours * count, source: OWN_PRICE };
  };
  const isPrivate = settings.privateNetwork === true;
  const secrets = regions + new Set([...settings.regions, EDGE_REGION]).size;
  const warmSeconds = provisionedConcurrency * GATEWAY_GB * 3600 * HOURS * regions;
  return [
    ...instances,
    fixed('secrets and their replicas', secrets, 'secretMonth'),
    fixed('keys', (signingKey && !isPrivate ? 2 : 1) * regions, 'keyMonth'),
    fixed('alarms', (isPrivate ? INFERENCE_ALARMS : ALARMS_PER_REGION) * regions, 'alarmMonth'),
    ...(isPrivate
      ? [fixed('private endpoints of AWS', PRIVATE_SERVICES.length * ZONES * HOURS * regions, 'interfaceEndpointHour')]
      : [fixed('composite alarms', COMPOSITE_ALARMS_PER_REGION * regions, 'compositeAlarmMonth')]),
    ...(provisionedConcurrency === 0
      ? []
      : [fixed(`${provisionedConcurrency} warm gateways in each region`, warmSeconds, 'provisionedGbSecond')]),
    ...(firewall && !isPrivate ? [fixed('firewall', 1, 'firewallMonth')] : []),
    ...(canary
      ? [
          fixed('secrets of the canary', regions, 'secretMonth'),
          fixed('alarms of the canary', probed, 'alarmMonth'),
          fixed('metrics of the canary', CANARY_METRICS * probed, 'metricMonth'),
        ]
      : []),
    ...(probe && !isPrivate ? [fixed('probe', 1, 'probeMonth')] : []),
  ];
}
