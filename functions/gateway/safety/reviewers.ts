/** The slower judges that a policy asks: MiniLM where the heads are undecided, and a guard model on an endpoint. */
import type { Direction, SafetyPolicySettings, TextClassifier } from '../../../layers/safety/index.ts';
import { SafetyUnavailableError } from '../errors.ts';
import type { Log } from '../services.ts';

/** What this gateway can ask; undefined where no model is set for it. */
export interface ReviewerParts {
  readonly minilm: TextClassifier | undefined;
  /** @param asked whether it judges only what the heads are not sure of, or everything. */
  readonly guard: ((direction: Direction, asked: 'undecided' | 'always') => TextClassifier) | undefined;
  readonly log: Log;
}

/**
 * What a policy asks and this gateway does not have counts as what failed: with `onFailure: closed` nothing passes that should have been judged.
 */
export function createReviewers(settings: SafetyPolicySettings, direction: Direction, parts: ReviewerParts): readonly TextClassifier[] {
  const { guard } = settings;
  const asked = guard[direction];
  const reviewers: TextClassifier[] = [];
  // MiniLM only sharpens what the heads say: without it their scores stand.
  if (settings.minilm !== 'off' && parts.minilm !== undefined)
    reviewers.push(bearFailure(parts.minilm, { timeoutMs: guard.timeoutMs, onFailure: 'open' }, parts.log));
  if (asked !== 'off') reviewers.push(bearFailure(parts.guard?.(direction, asked) ?? missingGuard, guard, parts.log));
  return reviewers;
}

const missingGuard: TextClassifier = {
  name: 'guard',
  bands: { hate: [0, 1] },
  classify: () => Promise.reject(new Error('no guard model is set: see PENSTOCK_GUARD_MODEL')),
};

/** Gives it so long, and then lets the heads' scores stand or refuses the text, as the policy says. */
function bearFailure(
  classifier: TextClassifier,
  { timeoutMs, onFailure }: { readonly timeoutMs: number; readonly onFailure: 'open' | 'closed' },
  log: Log,
): TextClassifier {
  return {
    ...classifier,
    async classify(text, signal) {
      const timeout = AbortSignal.timeout(timeoutMs);
      try {
        return await classifier.classify(text, signal === undefined ? timeout : AbortSignal.any([signal, timeout]));
      } catch (error) {
        signal?.throwIfAborted();
        const reason = timeout.aborted ? 'timeout' : error instanceof Error ? error.name : 'unknown';
        log.write('warn', 'safety-review-failed', { reviewer: classifier.name, reason, onFailure });
        if (onFailure === 'closed') throw new SafetyUnavailableError({ cause: error });
        return {};
      }
    },
  };
}
