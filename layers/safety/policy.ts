/**
 * What a tenant wants done about what is found. A policy is data: JSON in, checked here, named by the digest of its content, so that every
 * generation can record which policy judged it.
 */
import { createHash } from 'node:crypto';
import * as v from 'valibot';
import type { ClassifiedCategory } from './categories.ts';
import { type CompiledDenylist, compileDenylist, type DenylistEntry } from './exact/denylist.ts';
import { actions, type SafetyPolicySettings, safetyPolicySchema } from './policy-schema.ts';
import { type SpanKind, secretKinds } from './span.ts';

export type Action = (typeof actions)[number];
export type Direction = 'input' | 'output';

export interface SafetyPolicy {
  readonly settings: SafetyPolicySettings;
  /** sha256 of the settings with their keys sorted: the same policy has the same digest however it was written. */
  readonly digest: string;
}

/** Checks a policy that was read from JSON. Throws an error that lists every problem with its path. */
export function parseSafetyPolicy(value: unknown): SafetyPolicy {
  const result = v.safeParse(safetyPolicySchema, value);
  if (!result.success) {
    const problems = result.issues.map((issue) => `${v.getDotPath(issue) ?? 'policy'}: ${issue.message}`);
    throw new Error(`Bad safety policy:\n- ${problems.join('\n- ')}`);
  }
  return nameSafetyPolicy(result.output);
}

/** Settings that have been checked, with their digest. */
export function nameSafetyPolicy(settings: SafetyPolicySettings): SafetyPolicy {
  return { settings, digest: createHash('sha256').update(canonicalJson(settings)).digest('hex') };
}

/** The same policy as it judges tools' results: what is an attack there may be another matter than in a user's words. */
export function policyForToolResults(policy: SafetyPolicy): SafetyPolicy {
  const { categories, indirectInjection } = policy.settings;
  if (indirectInjection === undefined) return policy;
  const { action, threshold = categories.prompt_injection?.threshold } = indirectInjection;
  const output = categories.prompt_injection?.output ?? 'flag';
  const prompt_injection = { input: action, output, ...(threshold === undefined ? {} : { threshold }) };
  return { ...policy, settings: { ...policy.settings, categories: { ...categories, prompt_injection } } };
}

/** The words that a policy brings with it. */
export function compileDenylists({ denylists }: SafetyPolicySettings): readonly CompiledDenylist[] {
  const read = (entry: string | { readonly text: string; readonly match?: DenylistEntry['match'] | undefined }): DenylistEntry =>
    typeof entry === 'string' ? { text: entry } : { text: entry.text, ...(entry.match === undefined ? {} : { match: entry.match }) };
  return Object.entries(denylists).flatMap(([name, { entries = [] }]) =>
    entries.length === 0 ? [] : [compileDenylist(name, entries.map(read))],
  );
}

/** Whether any value is hidden from the model and given back. */
export function masksValues({ pii, secrets }: SafetyPolicySettings): boolean {
  const sections = [pii, secrets, ...Object.values(pii.kinds ?? {}), ...Object.values(secrets.kinds ?? {})];
  return sections.some((section) => section?.input === 'mask');
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
export function severer<Some extends Action>(a: Some, b: Some): Some {
  return actions.indexOf(a) >= actions.indexOf(b) ? a : b;
}
