/**
 * What whoever deploys decides: `penstock` in the context of `cdk.json`. A single setting can be given on the command line as well:
 * `npx cdk deploy --all -c profile=production`.
 */
import * as v from 'valibot';
import { type ContainerDigests, IMAGE_DIGEST } from './constructs/model-container.ts';
import { pricesSchema } from './list-prices.ts';
import { PROFILES, type Profile } from './profiles.ts';

const digest = v.pipe(v.string(), v.regex(IMAGE_DIGEST, 'must be sha256: and 64 hexadecimal digits'));

/** From the command line it comes as text, as numbers do. */
const trueOrFalse = v.union(
  [
    v.boolean(),
    v.pipe(
      v.picklist(['true', 'false']),
      v.transform((text) => text === 'true'),
    ),
  ],
  'must be true or false',
);

const wholeNumber = v.pipe(
  v.union([v.number(), v.pipe(v.string(), v.regex(/^\d+$/, 'must be a whole number'))], 'must be a whole number'),
  v.transform(Number),
  v.integer('must be a whole number'),
  v.minValue(0, 'must be at least 0'),
);

const setting = {
  /** Begins the name of every stack, so that several installations live in one account. */
  name: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{1,20}$/, 'must be 2 to 21 of a-z, 0-9 and -, beginning with a letter')),
  /** `demo` costs a few dollars a month when idle; `production` keeps capacity warm and data safe. */
  profile: v.picklist(Object.keys(PROFILES) as (keyof typeof PROFILES)[], `must be ${Object.keys(PROFILES).join(' or ')}`),
  account: v.pipe(
    v.string('must be the 12 digits of an AWS account, in quotes'),
    v.regex(/^\d{12}$/, 'must be the 12 digits of an AWS account, in quotes'),
  ),
  /** Each gets endpoints and a gateway of its own. The first keeps the table and the secrets, which the others replicate. */
  regions: v.pipe(
    v.array(v.pipe(v.string(), v.regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be a region such as eu-west-1'))),
    v.minLength(1, 'must name at least one region'),
    v.check((regions) => new Set(regions).size === regions.length, 'must not name a region twice'),
  ),
  /** The public name, and its certificate in us-east-1. Without one the CDN's own name is used, whose TLS floor cannot be chosen. */
  domain: v.optional(
    v.strictObject({
      name: v.pipe(v.string(), v.regex(/^([a-z0-9-]+\.)+[a-z]{2,}$/, 'must be a host name')),
      certificateArn: v.pipe(v.string(), v.regex(/^arn:aws:acm:us-east-1:/, 'must be a certificate in us-east-1')),
    }),
  ),
  /** `event`: one request per environment, canaries, layers. `web`: a Lambda Web Function, many requests per environment, all at once deployed. */
  gateway: v.optional(v.picklist(['event', 'web'], 'must be event or web')),
  /** Nothing crosses the internet: a private network for gateways on machines of yours, in place of functions and the public name. */
  privateNetwork: v.optional(trueOrFalse),
  /** In place of what the catalog names, for all models: where AWS lacks it, or for a try on a smaller one. */
  instanceType: v.optional(v.string('must be an instance type such as ml.g5.xlarge')),
  /** The containers' images, over what `infra/pinned-images.json` pins. */
  containerDigests: v.optional(v.strictObject({ vllm: v.optional(digest), lmi: v.optional(digest) })),
  /** Lets production go with images by their tags, which AWS may renew at any time. */
  unpinnedImages: v.optional(trueOrFalse),
  /** In place of the profile's: so often a canary makes a generation of each model, 0 for never. Oftener than models go to sleep. */
  canaryMinutes: v.optional(v.pipe(wholeNumber, v.maxValue(15, 'must be at most 15'))),
  /** In place of the profile's: environments of the event function that are always warm. They cost while nobody calls. */
  provisionedConcurrency: v.optional(wholeNumber),
  /** Which answers can be read again and resumed: all, those that ask for it (the default), or none, which keeps no text at all. */
  keepAnswers: v.optional(v.picklist(['always', 'asked', 'never'], 'must be always, asked or never')),
  /** Who is told of alarms and of the budget. */
  alarmEmail: v.optional(v.pipe(v.string(), v.email('must be an e-mail address'))),
  /** In place of the list prices that `doctor` reckons with: yours, or those of another day or region. */
  prices: v.optional(pricesSchema),
  /** In US dollars: at 80 % and 100 % of it, and when a forecast passes it, `alarmEmail` is told. */
  monthlyBudget: v.optional(v.pipe(v.number('must be a number of dollars'), v.minValue(1, 'must be at least 1'))),
} as const;

const settingsSchema = v.pipe(
  v.strictObject(setting),
  v.forward(
    v.check(({ monthlyBudget, alarmEmail }) => monthlyBudget === undefined || alarmEmail !== undefined, 'needs alarmEmail as well'),
    ['monthlyBudget'],
  ),
  v.forward(
    v.check(
      ({ privateNetwork, domain, gateway }) => privateNetwork !== true || (domain === undefined && gateway === undefined),
      'goes without domain and gateway: nothing has a public name',
    ),
    ['privateNetwork'],
  ),
);

export type Settings = Readonly<v.InferOutput<typeof settingsSchema>>;

export function profileOf(settings: Settings): Profile {
  return PROFILES[settings.profile];
}

/** Environments of the event function that are always warm; a web function has none. */
export function provisionedConcurrencyOf(settings: Settings): number {
  return settings.gateway === 'web' || settings.privateNetwork === true
    ? 0
    : (settings.provisionedConcurrency ?? profileOf(settings).provisionedConcurrency);
}

/** How often the canary makes a generation of each model; 0 for never. */
export function canaryMinutesOf(settings: Settings): number {
  return settings.privateNetwork === true ? 0 : (settings.canaryMinutes ?? profileOf(settings).canaryMinutes);
}

/**
 * Reads the settings from CDK's context.
 * @param find what `app.node.tryGetContext` gives: `penstock` from cdk.json, and single settings from the command line.
 * @param pinned the images of `infra/pinned-images.json`.
 * @throws one error with one sentence for each problem.
 */
export function loadSettings(find: (key: string) => unknown, pinned: ContainerDigests = {}): Settings {
  const file = find('penstock');
  if (typeof file !== 'object' || file === null) throw new Error('cdk.json must hold the settings as "penstock" in its context.');
  const given = Object.keys(setting).flatMap((key) => {
    const value = find(key);
    return value === undefined ? [] : [[key, key === 'regions' && typeof value === 'string' ? value.split(',') : value]];
  });
  const result = v.safeParse(settingsSchema, { ...file, ...Object.fromEntries(given) });
  if (result.success) return { ...result.output, containerDigests: { ...pinned, ...result.output.containerDigests } };
  const problems = result.issues.map((issue) => `${v.getDotPath(issue) ?? 'penstock'} ${describe(issue)}`);
  throw new Error(`Bad settings in cdk.json (context "penstock"):\n- ${problems.join('\n- ')}`);
}

function describe(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object') return issue.expected === 'never' ? 'is no setting: correct its name or remove it.' : 'is missing.';
  return `${issue.message}.`;
}
