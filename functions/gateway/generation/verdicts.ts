/**
 * What safety policies said of one generation, as its ledger line keeps it: which policy judged, the severest thing it called for, and how often
 * each label was found. Labels are names of kinds and categories, never a piece of what was said.
 */
import * as v from 'valibot';
import { type Action, type Direction, severer, type Verdict } from '../../../layers/safety/index.ts';

const countsSchema = v.record(v.string(), v.number());

export const verdictsSchema = v.object({
  /** sha256 of the policy's settings. */
  policyDigest: v.string(),
  action: v.string(),
  /** The policy only reports: the action has not been taken. */
  dryRun: v.boolean(),
  /** How often each label was found: in prompts a category counts once a message, in answers once a text; every found piece counts. */
  input: countsSchema,
  output: countsSchema,
});

export type Verdicts = v.InferOutput<typeof verdictsSchema>;

/** By which policy, and what it calls for. */
type Judged = Pick<Verdict, 'policyDigest' | 'action' | 'dryRun'>;

/** Where the steps that screen a generation say what they found. */
export class VerdictTally {
  #verdicts: Verdicts | null = null;
  #action: Action = 'allow';

  note(direction: Direction, verdict: Verdict): void {
    const pieces = verdict.findings.filter(({ action }) => action !== 'allow');
    this.#add(direction, verdict, [
      ...verdict.flagged,
      ...pieces.map(({ kind, rule }) => (kind === 'denylist' ? `denylist:${rule}` : kind)),
    ]);
  }

  /** What is found in other ways than by a filter: a quoted prompt, a judge that did not answer. The label is a name of ours, never text. */
  noteLabel(direction: Direction, judged: Judged, label: string): void {
    this.#add(direction, judged, [label]);
  }

  #add(direction: Direction, { policyDigest, action, dryRun }: Judged, labels: readonly string[]): void {
    const before = this.#verdicts ?? { policyDigest, action, dryRun, input: {}, output: {} };
    const counts = { ...before[direction] };
    for (const label of labels) counts[label] = (counts[label] ?? 0) + 1;
    this.#action = severer(this.#action, action);
    this.#verdicts = { ...before, action: this.#action, [direction]: counts };
  }

  /** `null` when no policy has judged anything. */
  get verdicts(): Verdicts | null {
    return this.#verdicts;
  }
}
