import { profileOf, type Settings } from './config.ts';
import { type Container, type ImageName, imageName } from './constructs/model-container.ts';
import { type EndpointPlan, instanceTypesOf } from './endpoint-plan.ts';
import { EDGE_REGION } from './names.ts';
import { containersOf } from './pinned-images.ts';

/** What `doctor` asks AWS. Each answers `undefined` for what is not there, and throws when AWS cannot be asked. */
export interface AccountView {
  callerAccount(): Promise<string>;
  bootstrapVersion(region: string): Promise<number | undefined>;
  /** Instances of this type that endpoints of the account may use at once. */
  endpointQuota(region: string, instanceType: string): Promise<number | undefined>;
  concurrentExecutions(region: string): Promise<number | undefined>;
  /** What the image's tag stands for, or the digest that is asked for, when it can be pulled. */
  imageDigest(region: string, image: ImageName, digest: string | undefined): Promise<string | undefined>;
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
    for (const need of instancesNeeded(endpoints)) findings.push(await checkQuota(aws, region, need));
    for (const container of containersOf(endpoints)) findings.push(await checkImage(aws, region, container, settings));
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

interface InstancesNeeded {
  readonly instanceType: string;
  readonly most: number;
  readonly endpoints: readonly string[];
}

/** A quota is the account's, whichever endpoint uses it. A type to fall back on is needed as often as the one that it stands for. */
function instancesNeeded(endpoints: readonly EndpointPlan[]): readonly InstancesNeeded[] {
  const needs = new Map<string, { most: number; endpoints: string[] }>();
  const add = (instanceType: string, most: number, name: string) => {
    const need = needs.get(instanceType) ?? { most: 0, endpoints: [] };
    needs.set(instanceType, { most: need.most + most, endpoints: [...need.endpoints, name] });
  };
  for (const plan of endpoints) {
    const copies = plan.components.reduce((sum, { deployment }) => sum + deployment.copies.max, 0);
    const batches = plan.components.reduce((sum, { deployment }) => sum + (deployment.asynchronous?.maxInstances ?? 0), 0);
    for (const instanceType of instanceTypesOf(plan)) add(instanceType, copies + batches, plan.name);
  }
  return [...needs].map(([instanceType, need]) => ({ instanceType, ...need }));
}

async function checkQuota(aws: AccountView, region: string, { endpoints, instanceType, most }: InstancesNeeded): Promise<Finding> {
  const name = endpoints.join(' and ');
  const quota = await attempt(`The quotas of SageMaker in ${region} can be read`, () => aws.endpointQuota(region, instanceType));
  if (typeof quota === 'object') return quota;
  if (quota !== undefined && quota >= most)
    return { good: true, text: `${region}: ${name} may grow to its ${most} ${instanceType} (quota ${quota}).` };
  return {
    good: false,
    text: `${region}: ${name} wants up to ${most} ${instanceType}, but the quota is ${quota ?? 0}: ask for "${instanceType} for endpoint usage".`,
  };
}

async function checkImage(aws: AccountView, region: string, container: Container, settings: Settings): Promise<Finding> {
  const image = imageName(container);
  const pinned = settings.containerDigests?.[container];
  const name = `${image.repository}${pinned === undefined ? `:${image.tag}` : `@${pinned}`}`;
  const found = await attempt(`${region}: The image ${name} can be looked up`, () => aws.imageDigest(region, image, pinned));
  if (typeof found === 'object') return found;
  if (found === undefined) {
    return {
      good: false,
      text: `${region}: the image ${name} is not there or may not be pulled: take another tag, digest or container.`,
    };
  }
  if (pinned !== undefined) return { good: true, text: `${region}: the image ${name} can be pulled.` };
  return {
    good: !profileOf(settings).pinnedImages || settings.unpinnedImages === true,
    text: `${region}: the image ${name} can be pulled, and stands for ${found} today: \`npm run penstock -- doctor --pin-images\` pins it.`,
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
