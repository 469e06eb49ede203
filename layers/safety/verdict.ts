import { type ClassifiedCategory, classifiedCategories, type Scores } from './categories.ts';
import { type Action, actionForCategory, type Direction, severer } from './policy.ts';
import type { SafetyPolicySettings } from './policy-schema.ts';
import type { Span } from './span.ts';

/** A found piece with what the policy says about it. */
export interface Finding extends Span {
  readonly action: Action;
}

export interface Verdict {
  /** The severest action of all findings and categories. With `dryRun` it has not been taken. */
  readonly action: Action;
  readonly dryRun: boolean;
  readonly findings: readonly Finding[];
  /** The highest score that any window reached. */
  readonly scores: Scores;
  /** Categories whose threshold was reached. */
  readonly flagged: readonly ClassifiedCategory[];
  readonly policyDigest: string;
}

/** Thresholds that a model was calibrated for. */
export type Thresholds = Readonly<Partial<Record<ClassifiedCategory, number>>>;

/** Where a score calls for action: the policy's threshold, the model's, or one half. */
export function thresholdFor(settings: SafetyPolicySettings, thresholds: Thresholds, category: ClassifiedCategory): number {
  return settings.categories[category]?.threshold ?? thresholds[category] ?? 0.5;
}

/** Categories whose score reaches its threshold and is not allowed. */
export function flaggedCategories(settings: SafetyPolicySettings, thresholds: Thresholds, direction: Direction, scores: Scores) {
  return classifiedCategories.filter((category) => {
    const score = scores[category];
    if (score === undefined || score < thresholdFor(settings, thresholds, category)) return false;
    return actionForCategory(settings, direction, category) !== 'allow';
  });
}

/** The severest action that the flagged categories call for. */
export function actionForScores(settings: SafetyPolicySettings, direction: Direction, flagged: readonly ClassifiedCategory[]): Action {
  return flagged.reduce<Action>((action, category) => severer(action, actionForCategory(settings, direction, category)), 'allow');
}
