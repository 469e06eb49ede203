import type { Settings } from './config.ts';
import type { EndpointPlan } from './endpoint-plan.ts';
import { EDGE_REGION } from './names.ts';

/** What `doctor` asks AWS. Each answers `undefined` for what is not there, and throws when AWS cannot be asked. */
export interface AccountView {
  callerAccount(): Promise<string>;
  bootstrapVersion(region: string): Promise<number | undefined>;
  /** Instances of this type that endpoints of the account may use at once. */
  endpointQuota(region: string, instanceType: string): Promise<number | undefined>;
  concurrentExecutions(region: string): Promise<number | undefined>;
  /** US dollars an hour of an endpoint's instance. */
  hourlyPrice(region: string, instanceType: string): Promise<number | undefined>;
}

export interface Finding {
  readonly good: boolean;
  readonly text: string;
}

/** CDK 2.276 asks for this much. */
const BOOTSTRAP_VERSION = 6;
const LAMBDA_DEFAULT = 1000;

/** Looks whether what is about to be deployed can be. One sentence for each finding; a bad one names the way out. */
export async function checkAccount(aws: AccountView, settings: Settings, endpoints: readonly EndpointPlan[]): Promise<readonly Finding[]> {
  const account = await attempt('The credentials work', () => aws.callerAccount());
  if (typeof account !== 'string') return [account];
  const findings: Finding[] = [
    account === settings.account
      ? { good: true, text: `The credentials are those of account ${account}.` }
      : {
          good: false,
          text: `The credentials are those of account ${account}, but cdk.json names ${settings.account}: correct one of them.`,
        },
  ];
  for (const region of new Set([...settings.regions, EDGE_REGION])) findings.push(await checkBootstrap(aws, account, region));
  for (const region of settings.regions) {
    findings.push(await checkConcurrency(aws, region));
    for (const endpoint of endpoints) findings.push(await checkQuota(aws, region, endpoint));
  }
  return findings;
}

async function checkBootstrap(aws: AccountView, account: string, region: string): Promise<Finding> {
  const version = await attempt(`The bootstrap of ${region} can be read`, () => aws.bootstrapVersion(region));
  if (typeof version === 'object') return version;
  if (version !== undefined && version >= BOOTSTRAP_VERSION) return { good: true, text: `${region} is bootstrapped (version ${version}).` };
  return { good: false, text: `${region} is not bootstrapped: npx cdk bootstrap aws://${account}/${region}` };
}

async function checkConcurrency(aws: AccountView, region: string): Promise<Finding> {
  const quota = await attempt(`The quotas of Lambda in ${region} can be read`, () => aws.concurrentExecutions(region));
  if (typeof quota === 'object') return quota;
  if (quota !== undefined && quota >= LAMBDA_DEFAULT)
    return { good: true, text: `${region}: ${quota} answers may be in progress at once.` };
  return {
    good: false,
    text: `${region}: only ${quota ?? 0} answers may be in progress at once: ask for more of Lambda's "Concurrent executions".`,
  };
}

async function checkQuota(aws: AccountView, region: string, { name, instanceType, components }: EndpointPlan): Promise<Finding> {
  const most = components.reduce((sum, { deployment }) => sum + deployment.copies.max, 0);
  const quota = await attempt(`The quotas of SageMaker in ${region} can be read`, () => aws.endpointQuota(region, instanceType));
  if (typeof quota === 'object') return quota;
  if (quota !== undefined && quota >= most)
    return { good: true, text: `${region}: ${name} may grow to its ${most} ${instanceType} (quota ${quota}).` };
  return {
    good: false,
    text: `${region}: ${name} wants up to ${most} ${instanceType}, but the quota is ${quota ?? 0}: ask for "${instanceType} for endpoint usage".`,
  };
}

async function attempt<Value>(what: string, ask: () => Promise<Value>): Promise<Value | Finding> {
  try {
    return await ask();
  } catch (error) {
    const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
    return { good: false, text: `${what}? No: ${name}: ${message}` };
  }
}
