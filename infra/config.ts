/**
 * What whoever deploys decides: `penstock` in the context of `cdk.json`. A single setting can be given on the command line as well:
 * `npx cdk deploy --all -c profile=production`.
 */
import * as v from 'valibot';

const setting = {
  /** Begins the name of every stack, so that several installations live in one account. */
  name: v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{1,20}$/, 'must be 2 to 21 of a-z, 0-9 and -, beginning with a letter')),
  /** `demo` costs a few dollars a month when idle; `production` keeps capacity warm and data safe. */
  profile: v.picklist(['demo', 'production'], 'must be demo or production'),
  account: v.pipe(
    v.string('must be the 12 digits of an AWS account, in quotes'),
    v.regex(/^\d{12}$/, 'must be the 12 digits of an AWS account, in quotes'),
  ),
  /** Each gets an inference stack and a gateway stack of its own. */
  regions: v.pipe(
    v.array(v.pipe(v.string(), v.regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be a region such as eu-west-1'))),
    v.minLength(1, 'must name at least one region'),
    v.check((regions) => new Set(regions).size === regions.length, 'must not name a region twice'),
  ),
} as const;

const settingsSchema = v.strictObject(setting);

export type Settings = Readonly<v.InferOutput<typeof settingsSchema>>;
export type Profile = Settings['profile'];

/**
 * Reads the settings from CDK's context.
 * @param find what `app.node.tryGetContext` gives: `penstock` from cdk.json, and single settings from the command line.
 * @throws one error with one sentence for each problem.
 */
export function loadSettings(find: (key: string) => unknown): Settings {
  const file = find('penstock');
  if (typeof file !== 'object' || file === null) throw new Error('cdk.json must hold the settings as "penstock" in its context.');
  const given = Object.keys(setting).flatMap((key) => {
    const value = find(key);
    return value === undefined ? [] : [[key, key === 'regions' && typeof value === 'string' ? value.split(',') : value]];
  });
  const result = v.safeParse(settingsSchema, { ...file, ...Object.fromEntries(given) });
  if (result.success) return result.output;
  const problems = result.issues.map((issue) => `${v.getDotPath(issue) ?? 'penstock'} ${describe(issue)}`);
  throw new Error(`Bad settings in cdk.json (context "penstock"):\n- ${problems.join('\n- ')}`);
}

function describe(issue: v.BaseIssue<unknown>): string {
  if (issue.type === 'strict_object') return issue.expected === 'never' ? 'is no setting: correct its name or remove it.' : 'is missing.';
  return `${issue.message}.`;
}
