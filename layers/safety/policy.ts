/**
 * What a tenant wants done about what is found. A policy is data: JSON in, checked here, named by the digest of its content, so that every
 * generation can record which policy judged it.
 */
import { createHash } from 'node:crypto';
import { isSupportedCountry } from 'libphonenumber-js/max';
import * as v from 'valibot';
import { type ClassifiedCategory, classifiedCategories } from './categories.ts';
import { piiKinds, type SpanKind, secretKinds } from './span.ts';

/** From harmless to severe. `flag` only reports; `redact` replaces what was found; `block` ends the text before it. */
const actions = ['allow', 'flag', 'redact', 'block'] as const;
export type Action = (typeof actions)[number];
export type Direction = 'input' | 'output';

const spanActionSchema = v.picklist(actions);
/** A judgement about a window of text cannot be cut out of it: a classifier's categories have no `redact`. */
const categoryActionSchema = v.picklist(['allow', 'flag', 'block']);
const byDirection = <T extends v.GenericSchema>(schema: T) => v.strictObject({ input: schema, output: schema });
const score = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
const optionalEntries = <K extends string, S extends v.GenericSchema>(keys: readonly K[], schema: S) =>
  // valibot needs the keys as a literal object; Object.fromEntries loses them.
  v.partial(v.strictObject(Object.fromEntries(keys.map((key) => [key, schema])) as Record<K, S>));

const policySchema = v.strictObject({
  /** Judge and report, but let everything pass. */
  dryRun: v.optional(v.boolean(), false),
  /**
   * When the classifiers speak on a stream. `hold`: a window is released after its verdict. `cut`: text is released at once and the stream
   * ends at a verdict, so that up to one window of it has been seen; after a window near the threshold the next ones are held. `off`: they do not.
   */
  streaming: v.optional(v.picklist(['hold', 'cut', 'off']), 'cut'),
  /** Countries whose national phone numbers are recognised; international ones (`+49 ...`) always are. */
  phoneCountries: v.optional(
    v.array(v.pipe(v.string(), v.check(isSupportedCountry, 'not a country that libphonenumber knows: use ISO 3166 letters such as US'))),
    () => ['US', 'GB'],
  ),
  pii: v.optional(
    v.strictObject({
      ...byDirection(spanActionSchema).entries,
      kinds: v.optional(optionalEntries(piiKinds, byDirection(spanActionSchema))),
    }),
    {
      input: 'flag',
      output: 'flag',
    },
  ),
  secrets: v.optional(
    v.strictObject({
      ...byDirection(spanActionSchema).entries,
      kinds: v.optional(optionalEntries(secretKinds, byDirection(spanActionSchema))),
    }),
    { input: 'flag', output: 'redact' },
  ),
  /** Action for each denylist by name; lists that are not named here are blocked. */
  denylists: v.optional(v.record(v.string(), byDirection(spanActionSchema)), {}),
  /** Action and threshold for each category; a missing threshold is the one the model was calibrated for. */
  categories: v.optional(
    optionalEntries(classifiedCategories, v.strictObject({ ...byDirection(categoryActionSchema).entries, threshold: v.optional(score) })),
    {},
  ),
});

export type SafetyPolicySettings = v.InferOutput<typeof policySchema>;

export interface SafetyPolicy {
  readonly settings: SafetyPolicySettings;
  /** sha256 of the settings with their keys sorted: the same policy has the same digest however it was written. */
  readonly digest: string;
}

/** Checks a policy that was read from JSON. Throws an error that lists every problem with its path. */
export function parseSafetyPolicy(value: unknown): SafetyPolicy {
  const result = v.safeParse(policySchema, value);
  if (!result.success) {
    const problems = result.issues.map((issue) => `${v.getDotPath(issue) ?? 'policy'}: ${issue.message}`);
    throw new Error(`Bad safety policy:\n- ${problems.join('\n- ')}`);
  }
  const settings = result.output;
  return { settings, digest: createHash('sha256').update(canonicalJson(settings)).digest('hex') };
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, entry]) => `${JSON.stringify(key)}:${canonicalJson(entry)}`)
    .join(',')}}`;
}

const isSecretKind = (kind: SpanKind): kind is (typeof secretKinds)[number] => (secretKinds as readonly string[]).includes(kind);

/** What to do about a found piece. `rule` is the list's name for a denylist. */
export function actionForSpan(settings: SafetyPolicySettings, direction: Direction, kind: SpanKind, rule: string): Action {
  if (kind === 'denylist') return settings.denylists[rule]?.[direction] ?? 'block';
  if (isSecretKind(kind)) return (settings.secrets.kinds?.[kind] ?? settings.secrets)[direction];
  return (settings.pii.kinds?.[kind] ?? settings.pii)[direction];
}

/** What to do when a category's score reaches its threshold. Categories that a policy does not name are flagged. */
export function actionForCategory(settings: SafetyPolicySettings, direction: Direction, category: ClassifiedCategory): Action {
  return settings.categories[category]?.[direction] ?? 'flag';
}

/** The severer of two actions. */
export function severer(a: Action, b: Action): Action {
  return actions.indexOf(a) >= actions.indexOf(b) ? a : b;
}
