import {
  compileDenylists,
  createSafetyFilter,
  policyForToolResults,
  type SafetyFilter,
  type SafetyPolicy,
  type WindowClassifier,
} from '../../../layers/safety/index.ts';
import { createReviewers, type ReviewerParts } from './reviewers.ts';

/** One policy at work: what judges prompts, tools' results in them, and answers. Shared by all requests under this policy. */
export interface TenantSafety {
  readonly policy: SafetyPolicy;
  readonly input: SafetyFilter;
  readonly toolResults: SafetyFilter;
  readonly output: SafetyFilter;
}

/** @throws {RangeError} a denylist that `safetyPolicySchema` would have refused. */
export function createTenantSafety(policy: SafetyPolicy, classifier: WindowClassifier, parts: ReviewerParts): TenantSafety {
  const { settings } = policy;
  const shared = { classifier, denylists: compileDenylists(settings) };
  const resources = (direction: 'input' | 'output') => ({ ...shared, reviewers: createReviewers(settings, direction, parts) });
  const input = createSafetyFilter(policy, resources('input'));
  return {
    policy,
    input,
    toolResults: settings.indirectInjection === undefined ? input : createSafetyFilter(policyForToolResults(policy), resources('input')),
    output: createSafetyFilter(policy, resources('output')),
  };
}
