import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseSafetyPolicy, piiKinds, raiseToFloor, type SafetyPolicy, secretKinds } from '../../../layers/safety/index.ts';
import { actionForCategory, actionForSpan } from '../../../layers/safety/policy.ts';
import { pinnable } from '../../../layers/safety/policy-schema.ts';

/** From the weakest to the strictest, as docs/safety.md has them. */
const ranks: readonly string[] = ['allow', 'flag', 'mask', 'redact', 'block'];
const inputAction = fc.constantFrom(...ranks);
const outputAction = fc.constantFrom('allow', 'flag', 'redact', 'block');
const judgement = fc.constantFrom('allow', 'flag', 'block');
const threshold = fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined });
const values = fc.record({ input: inputAction, output: outputAction });
const asked = fc.constantFrom('off', 'undecided', 'always');

const settings = fc.record(
  {
    dryRun: fc.boolean(),
    streaming: fc.constantFrom('off', 'cut', 'hold'),
    pii: fc.tuple(values, fc.record({ email: values, card: values }, { requiredKeys: [] })).map(([own, kinds]) => ({ ...own, kinds })),
    secrets: values,
    denylists: fc.dictionary(
      fc.constantFrom('brand', 'slurs'),
      fc.record({ input: outputAction, output: outputAction, entries: fc.array(fc.constantFrom('falcon', 'osprey'), { maxLength: 2 }) }),
    ),
    categories: fc.record(
      {
        hate: fc.record({ input: judgement, output: judgement, threshold }),
        prompt_injection: fc.record({ input: judgement, output: judgement, threshold }),
      },
      { requiredKeys: [] },
    ),
    indirectInjection: fc.record({ action: judgement, threshold }),
    promptLeak: judgement,
    spotlight: fc.constantFrom('off', 'delimit', 'mark', 'encode'),
    guard: fc.record({ input: asked, output: asked, onFailure: fc.constantFrom('open', 'closed') }),
  },
  { requiredKeys: [] },
);

const policy = (json: object): SafetyPolicy => parseSafetyPolicy(JSON.parse(JSON.stringify(json)));
const rank = (action: string) => ranks.indexOf(action);

describe('a floor under a policy', () => {
  it('changes nothing when it pins nothing', () => {
    fc.assert(
      fc.property(settings, settings, (own, base) => {
        expect(raiseToFloor(policy(own), policy(base)).digest).toBe(policy(own).digest);
      }),
    );
  });

  it('cannot be weakened by what stands on it, whatever that says', () => {
    fc.assert(
      fc.property(settings, settings, (own, base) => {
        const floor = policy({ ...base, pinned: pinnable });
        const { settings: raised } = raiseToFloor(policy(own), floor);
        for (const direction of ['input', 'output'] as const) {
          for (const kind of [...piiKinds, ...secretKinds])
            expect(rank(actionForSpan(raised, direction, kind, ''))).toBeGreaterThanOrEqual(
              rank(actionForSpan(floor.settings, direction, kind, '')),
            );
          for (const category of ['hate', 'prompt_injection', 'violence'] as const) {
            expect(rank(actionForCategory(raised, direction, category))).toBeGreaterThanOrEqual(
              rank(actionForCategory(floor.settings, direction, category)),
            );
            const least = floor.settings.categories[category]?.threshold;
            const now = raised.categories[category]?.threshold;
            if (least === undefined) expect(now).toBeUndefined();
            else expect(now).toBeLessThanOrEqual(least);
          }
          for (const [name, list] of Object.entries(floor.settings.denylists)) {
            expect(rank(actionForSpan(raised, direction, 'denylist', name))).toBeGreaterThanOrEqual(rank(list[direction]));
            expect(raised.denylists[name]?.entries ?? []).toEqual(expect.arrayContaining([...(list.entries ?? [])]));
          }
        }
        const attack = ({ indirectInjection, categories }: SafetyPolicy['settings']) =>
          rank(indirectInjection?.action ?? categories.prompt_injection?.input ?? 'flag');
        expect(attack(raised)).toBeGreaterThanOrEqual(attack(floor.settings));
        expect(rank(raised.promptLeak)).toBeGreaterThanOrEqual(rank(floor.settings.promptLeak));
        if (!floor.settings.dryRun) expect(raised.dryRun).toBe(false);
        if (floor.settings.guard.onFailure === 'closed') expect(raised.guard.onFailure).toBe('closed');
        expect(raised.pinned).toEqual(expect.arrayContaining([...pinnable]));
      }),
      { numRuns: 300 },
    );
  });

  it('stands when it is laid twice', () => {
    fc.assert(
      fc.property(settings, settings, fc.subarray([...pinnable]), (own, base, pinned) => {
        const floor = policy({ ...base, pinned });
        const once = raiseToFloor(policy(own), floor);
        expect(raiseToFloor(once, floor).digest).toBe(once.digest);
      }),
    );
  });

  it('lets a project be stricter where something is pinned, and free where nothing is', () => {
    const floor = policy({
      secrets: { input: 'redact', output: 'redact' },
      pii: { input: 'redact', output: 'redact' },
      pinned: ['secrets'],
    });
    const { settings: raised } = raiseToFloor(
      policy({ secrets: { input: 'block', output: 'allow' }, pii: { input: 'allow', output: 'allow' }, dryRun: true }),
      floor,
    );
    expect(raised.secrets).toMatchObject({ input: 'block', output: 'redact' });
    expect(raised.pii).toMatchObject({ input: 'allow', output: 'allow' });
    expect(raised.dryRun).toBe(false);
  });
});
