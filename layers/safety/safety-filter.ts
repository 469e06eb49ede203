import type { CompiledDenylist } from './exact/denylist.ts';
import { createRecognisers } from './exact/recognisers.ts';
import type { Direction, SafetyPolicy } from './policy.ts';
import { StreamScanner } from './stream/stream-scanner.ts';
import { isUndecided, type TextClassifier, type WindowClassifier } from './text-classifier.ts';
import type { Verdict } from './verdict.ts';

/** What a filter works with. All of it is shared by every request; a tenant's new denylist goes into a new filter. */
export interface SafetyResources {
  readonly denylists?: readonly CompiledDenylist[];
  /** The linear heads, see `loadLinearHeads`. Without them only the exact rules work. */
  readonly classifier?: WindowClassifier;
  /** Slower classifiers that are asked about what the heads leave undecided, in this order. Only `reviewed...` calls use them. */
  readonly reviewers?: readonly TextClassifier[];
}

/** What a push lets out, and why the text ended when it was blocked. */
export interface StreamRelease {
  readonly released: string;
  /** Only on the release that ends the stream: a block, or the flush. */
  readonly verdict?: Verdict;
}

/** One text on its way through: one for every choice, every tool call's arguments and every reasoning text. */
export interface SafetyStream {
  /** After a block nothing is released any more. */
  push(text: string): StreamRelease;
  /** The text is over: releases what was held. */
  flush(): StreamRelease;
  /** UTF-16 units that are held back now. */
  readonly heldLength: number;
}

/** The same with slow classifiers; a push waits for their verdict. Pushes must not overlap. */
export interface ReviewedStream {
  push(text: string, signal?: AbortSignal): Promise<StreamRelease>;
  flush(signal?: AbortSignal): Promise<StreamRelease>;
  readonly heldLength: number;
}

export interface CheckedText {
  readonly verdict: Verdict;
  /** The text with every piece replaced that the policy redacts or blocks. */
  readonly redactedText: string;
}

export interface SafetyFilter {
  readonly policy: SafetyPolicy;
  /** Judges a whole text: everything is found and nothing stops at a block. */
  check(text: string, direction: Direction): CheckedText;
  reviewedCheck(text: string, direction: Direction, signal?: AbortSignal): Promise<CheckedText>;
  /** The exact rules alone, without classifiers: for text that is trusted but may hold secrets. */
  checkRules(text: string, direction: Direction): CheckedText;
  stream(direction: Direction): SafetyStream;
  reviewedStream(direction: Direction): ReviewedStream;
}

/** A filter for one policy. Cheap: make one for each tenant, or for each request when policies change. */
export function createSafetyFilter(policy: SafetyPolicy, resources: SafetyResources = {}): SafetyFilter {
  const recognisers = createRecognisers(policy.settings.phoneCountries);
  const reviewers = resources.reviewers ?? [];
  const createScanner = (direction: Direction, options: { inspectsOnly?: boolean; isReviewed?: boolean; isByRulesOnly?: boolean }) =>
    new StreamScanner({
      policy,
      direction,
      recognisers,
      denylists: resources.denylists ?? [],
      classifier: options.isByRulesOnly === true ? undefined : resources.classifier,
      inspectsOnly: options.inspectsOnly === true,
      ...(options.isReviewed === true && { needsReview: (scores) => reviewers.some((reviewer) => isUndecided(reviewer, scores)) }),
    });
  return {
    policy,
    check(text, direction) {
      const scanner = createScanner(direction, { inspectsOnly: true });
      scanner.append(text);
      scanner.finish();
      return { redactedText: scanner.release(), verdict: scanner.verdict() };
    },
    checkRules(text, direction) {
      const scanner = createScanner(direction, { inspectsOnly: true, isByRulesOnly: true });
      scanner.append(text);
      scanner.finish();
      return { redactedText: scanner.release(), verdict: scanner.verdict() };
    },
    async reviewedCheck(text, direction, signal) {
      const scanner = createScanner(direction, { inspectsOnly: true, isReviewed: true });
      scanner.append(text);
      await review(scanner, () => scanner.finish(), reviewers, signal);
      return { redactedText: scanner.release(), verdict: scanner.verdict() };
    },
    stream(direction) {
      const scanner = createScanner(direction, {});
      return {
        push(text) {
          scanner.append(text);
          scanner.run();
          return releaseFrom(scanner, false);
        },
        flush() {
          scanner.finish();
          return releaseFrom(scanner, true);
        },
        get heldLength() {
          return scanner.heldLength;
        },
      };
    },
    reviewedStream(direction) {
      const scanner = createScanner(direction, { isReviewed: true });
      return {
        async push(text, signal) {
          scanner.append(text);
          await review(scanner, () => scanner.run(), reviewers, signal);
          return releaseFrom(scanner, false);
        },
        async flush(signal) {
          await review(scanner, () => scanner.finish(), reviewers, signal);
          return releaseFrom(scanner, true);
        },
        get heldLength() {
          return scanner.heldLength;
        },
      };
    },
  };
}

function releaseFrom(scanner: StreamScanner, isOver: boolean): StreamRelease {
  const released = scanner.release();
  return isOver || scanner.isBlocked ? { released, verdict: scanner.verdict() } : { released };
}

/** Runs the scanner to its goal and answers each window it stops at. */
async function review(
  scanner: StreamScanner,
  work: () => ReturnType<StreamScanner['run']>,
  reviewers: readonly TextClassifier[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let window = work(); window !== undefined; window = work()) {
    const { scores, text } = window;
    const asked = reviewers.filter((reviewer) => isUndecided(reviewer, scores));
    const answers = await Promise.all(asked.map((reviewer) => reviewer.classify(text, signal)));
    scanner.resolve(Object.assign({}, ...answers));
  }
}
