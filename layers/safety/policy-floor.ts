/**
 * What an organisation pins, its projects can make stricter and not weaker. For each pinned part the stricter of the two holds, action by action:
 * `block` before `redact` before `mask` before `flag` before `allow`. Words of a list of the same name are put together. Where anything is
 * pinned, neither a dry run nor a weaker way of streaming can take it out of force.
 */
import { classifiedCategories } from './categories.ts';
import { type Action, nameSafetyPolicy, type SafetyPolicy, severer } from './policy.ts';
import type { SafetyPolicySettings } from './policy-schema.ts';

type Settings = SafetyPolicySettings;
/** From the weakest to the strictest. */
const streamings = ['off', 'cut', 'hold'] as const;
const spotlights = ['off', 'delimit', 'mark', 'encode'] as const;
const asked = ['off', 'undecided', 'always'] as const;

/** The policy with what the floor pins. A floor that pins nothing changes nothing. */
export function raiseToFloor(policy: SafetyPolicy, floor: SafetyPolicy): SafetyPolicy {
  const { pinned } = floor.settings;
  if (pinned.length === 0) return policy;
  const isPinned = (part: Settings['pinned'][number]) => pinned.includes(part);
  const own = policy.settings;
  const base = floor.settings;
  return nameSafetyPolicy({
    ...own,
    dryRun: own.dryRun && base.dryRun,
    streaming: stricter(streamings, own.streaming, base.streaming),
    judgedRoles: [...new Set([...base.judgedRoles, ...own.judgedRoles])],
    phoneCountries: [...new Set([...base.phoneCountries, ...own.phoneCountries])],
    ...(isPinned('pii') && { pii: severerValues(own.pii, base.pii), restoreIn: commonPlaces(own, base) }),
    ...(isPinned('secrets') && { secrets: severerValues(own.secrets, base.secrets), restoreIn: commonPlaces(own, base) }),
    ...(isPinned('denylists') && { denylists: joinDenylists(own.denylists, base.denylists) }),
    ...(isPinned('categories') && { categories: severerCategories(own.categories, base.categories) }),
    ...((isPinned('indirectInjection') || (isPinned('categories') && own.indirectInjection !== undefined)) && {
      indirectInjection: severerInjection(own, base),
    }),
    ...(isPinned('promptLeak') && { promptLeak: severer(own.promptLeak, base.promptLeak) }),
    ...(isPinned('spotlight') && { spotlight: stricter(spotlights, own.spotlight, base.spotlight) }),
    ...(isPinned('minilm') && { minilm: stricter(asked, own.minilm, base.minilm) }),
    ...(isPinned('guard') && { guard: stricterGuard(own.guard, base.guard) }),
    pinned: [...new Set([...base.pinned, ...own.pinned])],
  });
}

function stricter<Way extends string>(ways: readonly string[], one: Way, other: Way): Way {
  return ways.indexOf(one) >= ways.indexOf(other) ? one : other;
}

const commonPlaces = (own: Settings, base: Settings) => own.restoreIn.filter((place) => base.restoreIn.includes(place));

type ValueActions = { readonly input: Action; readonly output: Exclude<Action, 'mask'> };

function severerActions<Actions extends { readonly input: Action; readonly output: Action }>(one: Actions, other: Actions): Actions {
  return { ...one, input: severer(one.input, other.input), output: severer(one.output, other.output) };
}

/** Each kind that one of the two names, as the other has it by itself or by its section. */
function severerValues<Section extends ValueActions & { readonly kinds?: Readonly<Record<string, ValueActions | undefined>> | undefined }>(
  own: Section,
  base: Section,
): Section {
  const names = new Set([...Object.keys(own.kinds ?? {}), ...Object.keys(base.kinds ?? {})]);
  const actionsOf = ({ kinds, input, output }: Section, name: string): ValueActions => kinds?.[name] ?? { input, output };
  const kinds = Object.fromEntries([...names].map((name) => [name, severerActions(actionsOf(own, name), actionsOf(base, name))]));
  return { ...severerActions(own, base), ...(names.size === 0 ? {} : { kinds }) };
}

/** A list that a policy names without words is some other policy's: its action is kept with the words. */
function joinDenylists(own: Settings['denylists'], base: Settings['denylists']): Settings['denylists'] {
  const joined = Object.entries(base).map(([name, list]) => {
    const other = own[name] ?? list;
    const both = [...(list.entries ?? []), ...(other.entries ?? [])];
    const entries = [...new Map(both.map((entry) => [JSON.stringify(entry), entry])).values()];
    return [name, { ...severerActions(list, other), ...(entries.length === 0 ? {} : { entries }) }] as const;
  });
  return { ...own, ...Object.fromEntries(joined) };
}

/**
 * A threshold counts for both only where both have one. Where the floor has none, the model's own holds: there is nothing to compare another
 * with, so it might be weaker.
 */
function severerCategories(own: Settings['categories'], base: Settings['categories']): Settings['categories'] {
  const unnamed = { input: 'flag', output: 'flag' } as const;
  const joined = classifiedCategories.flatMap((category) => {
    const one = own[category];
    const other = base[category];
    if (one === undefined && other === undefined) return [];
    const { threshold: _, ...actions } = severerActions({ ...unnamed, ...one }, { ...unnamed, ...other });
    return [[category, { ...actions, ...withThreshold(one?.threshold, other?.threshold) }]];
  });
  return Object.fromEntries(joined);
}

/** What each says of tools' results, by itself or by what it says of attacks in general. */
function severerInjection(own: Settings, base: Settings): Settings['indirectInjection'] {
  const read = ({ indirectInjection, categories: { prompt_injection: general } }: Settings) =>
    indirectInjection ?? { action: general?.input ?? ('flag' as const), threshold: general?.threshold };
  const [one, other] = [read(own), read(base)];
  return { action: severer(one.action, other.action), ...withThreshold(one.threshold, other.threshold) };
}

function withThreshold(own: number | undefined, base: number | undefined): { threshold?: number } {
  return base === undefined ? {} : { threshold: Math.min(own ?? base, base) };
}

/** Who must be asked is asked, and what could not be judged does not pass. The longer of the two times, or a short one would let all pass. */
function stricterGuard(own: Settings['guard'], base: Settings['guard']): Settings['guard'] {
  return {
    input: stricter(asked, own.input, base.input),
    output: stricter(asked, own.output, base.output),
    timeoutMs: Math.max(own.timeoutMs, base.timeoutMs),
    onFailure: stricter(['open', 'closed'], own.onFailure, base.onFailure),
  };
}
