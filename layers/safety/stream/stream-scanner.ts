/**
 * One text on its way through the filter, code unit by code unit. Everything that is released, and when, is a function of the units that
 * have arrived, never of the chunks they came in: that is the streaming law (`stream(filter) == filter(whole)`), by construction.
 *
 * Held back is the least that can still matter: from the first character that may belong to an undecided match (the open run, the state of
 * the denylist's automaton, a PEM header that has begun), and in `hold` from the start of the window that has no verdict yet.
 */
import { type ClassifiedCategory, classifiedCategories, maxScores, moderationCategories, type Scores } from '../categories.ts';
import { type CompiledDenylist, DenylistTracker } from '../exact/denylist.ts';
import { PrivateKeyTracker } from '../exact/private-key-tracker.ts';
import type { Recogniser } from '../exact/run.ts';
import { RunTracker } from '../exact/run-tracker.ts';
import { type Action, actionForCategory, actionForSpan, type Direction, type SafetyPolicy, severer } from '../policy.ts';
import { labelFor, piiKinds, type SpanKind, secretKinds } from '../span.ts';
import { FoldedText } from '../text/folded-text.ts';
import { judgeByScore, type WindowClassifier, type WindowJudge } from '../text-classifier.ts';
import { actionForScores, type Finding, flaggedCategories, thresholdFor, type Verdict } from '../verdict.ts';
import { WindowCutter } from '../windows.ts';
import { ReleaseQueue } from './release-queue.ts';

export interface ScannerParts {
  readonly policy: SafetyPolicy;
  readonly direction: Direction;
  readonly recognisers: readonly Recogniser[];
  readonly denylists: readonly CompiledDenylist[];
  readonly classifier: WindowClassifier | undefined;
  /** Whether a window with these scores must be judged by a slower classifier before the text goes on. */
  readonly needsReview?: (scores: Scores) => boolean;
  /** Find everything and stop nowhere: for a check of a whole text. */
  readonly inspectsOnly?: boolean;
}

/** A window that waits for a slower classifier. */
export interface WindowReview {
  readonly text: string;
  readonly scores: Scores;
}

/** A window whose score comes this near to its threshold makes `cut` hold the next ones. */
const warningShare = 0.6;
/** Folded characters of a whole text that are judged at once. */
const longestWhole = 20_000;

export class StreamScanner {
  readonly #parts: ScannerParts;
  readonly #text = new FoldedText();
  readonly #queue = new ReleaseQueue();
  readonly #runs: RunTracker;
  readonly #privateKey: PrivateKeyTracker;
  readonly #denylists: readonly DenylistTracker[];
  readonly #windows = new WindowCutter();
  readonly #holdsSpans: boolean;
  /** Only where windows are judged. */
  readonly #judge: WindowJudge | undefined;
  #findings: Finding[] = [];
  /** A match whose end has not come: it is swallowed. */
  #open: { readonly kind: SpanKind; readonly rule: string; readonly start: number } | undefined;
  #scores: Scores = {};
  #input = '';
  #inputOffset = 0;
  /** Folded characters that every rule has seen. */
  #processed = 0;
  /** Index where the last judged window began, and where the one that is not judged begins. */
  #previousWindow = 0;
  #currentWindow = 0;
  #review: (WindowReview & { readonly end: number }) | undefined;
  /** The last window came near to a threshold. */
  #isWarned = false;
  #isOver = false;
  /** Raw offset that nothing is released behind, once the text is blocked. */
  #blockedAt: number | undefined;

  constructor(parts: ScannerParts) {
    this.#parts = parts;
    const found = (kind: SpanKind, rule: string, start: number, end: number) => this.#found(kind, rule, start, end);
    this.#runs = new RunTracker(this.#text, parts.recognisers, {
      found,
      opened: (kind, rule, start) => this.#opened(kind, rule, start),
      closed: (end) => this.#closed(end),
    });
    this.#privateKey = new PrivateKeyTracker({
      opened: (start) => {
        this.#runs.reset();
        this.#opened('private_key', 'pem', start);
      },
      closed: (end) => this.#closed(end),
    });
    this.#denylists = parts.denylists.map(
      (list) => new DenylistTracker(this.#text, list, (start, end, name) => found('denylist', name, start, end)),
    );
    const replaces = (kind: SpanKind) => isReplaced(this.#actionFor(kind, ''));
    this.#holdsSpans = [...piiKinds, ...secretKinds].some(replaces);
    const { classifier } = parts;
    const judges = classifier !== undefined && (parts.inspectsOnly === true || parts.policy.settings.streaming !== 'off');
    this.#judge = judges ? (classifier.startText?.() ?? judgeByScore(classifier)) : undefined;
  }

  get isBlocked(): boolean {
    return this.#blockedAt !== undefined;
  }

  /** UTF-16 units that have arrived and are not released. */
  get heldLength(): number {
    return this.#text.rawLength - this.#queue.releasedUntil;
  }

  append(text: string): void {
    if (this.#isOver || this.isBlocked) return;
    this.#queue.push(text);
    this.#text.reserve(text.length);
    this.#input = this.#input.slice(this.#inputOffset) + text;
    this.#inputOffset = 0;
  }

  /** Works until the text so far is used up, blocked, or a window needs a review. */
  run(): WindowReview | undefined {
    while (this.#review === undefined && !this.isBlocked) {
      if (this.#processed < this.#text.length) this.#advance();
      else if (this.#inputOffset < this.#input.length) {
        this.#text.push(this.#input.charCodeAt(this.#inputOffset));
        this.#inputOffset += 1;
      } else break;
    }
    return this.#review;
  }

  /** Works to the end of the text, which is over now. Call it again after a review. */
  finish(): WindowReview | undefined {
    if (this.#isOver || this.run() !== undefined) return this.#review;
    this.#text.end();
    if (this.run() !== undefined) return this.#review;
    this.#isOver = true;
    if (this.isBlocked) return undefined;
    this.#runs.end();
    this.#privateKey.end(this.#processed);
    for (const denylist of this.#denylists) denylist.end();
    if (this.#judge !== undefined && !this.isBlocked && this.#currentWindow < this.#processed) this.#judgeWindow(this.#processed);
    if (this.#judge !== undefined && this.#parts.inspectsOnly === true) this.#judgeWhole();
    return this.#review;
  }

  /** Answers the review that `run` or `finish` gave: these scores stand in place of the heads' where both have one. */
  resolve(scores: Scores): void {
    const review = this.#review;
    if (review === undefined) return;
    this.#review = undefined;
    this.#applyScores({ ...review.scores, ...scores }, review.end);
  }

  /** The text that may be seen now. */
  release(): string {
    const held = this.#heldFrom();
    const isAll = this.#isOver && this.#review === undefined;
    const released = this.#queue.release(Math.min(isAll ? this.#text.rawLength : this.#rawOffset(held), this.#blockedAt ?? Infinity));
    this.#text.forget((this.#judge !== undefined ? Math.min(held, this.#previousWindow) : held) - 1);
    return released;
  }

  verdict(): Verdict {
    const { policy, direction, classifier } = this.#parts;
    const flagged = flaggedCategories(policy.settings, classifier?.thresholds ?? {}, direction, this.#scores);
    const action = this.#findings.reduce<Action>(
      (worst, finding) => severer(worst, finding.action),
      actionForScores(policy.settings, direction, flagged),
    );
    const findings = [...this.#findings].sort((a, b) => a.start - b.start || b.end - a.end);
    return { action, dryRun: policy.settings.dryRun, findings, scores: this.#scores, flagged, policyDigest: policy.digest };
  }

  #advance(): void {
    const index = this.#processed;
    const code = this.#text.at(index);
    this.#processed += 1;
    if (!this.#privateKey.advance(index, code)) this.#runs.advance(index, code);
    for (const denylist of this.#denylists) denylist.advance(index, code);
    if (this.#judge === undefined || this.isBlocked) return;
    const end = this.#windows.advance(index, code);
    if (end > 0) this.#judgeWindow(end);
  }

  #judgeWindow(end: number): void {
    const scores = this.#judge?.judge(this.#text.slice(this.#currentWindow, end)) ?? {};
    if (this.#parts.needsReview?.(scores) === true) this.#review = { text: this.#text.slice(this.#previousWindow, end), scores, end };
    else this.#applyScores(scores, end);
  }

  /**
   * Abuse is often a matter of tone, and a check sees the whole text: the mean of the worst window's log-odds and the whole's ranks better than
   * either. A stream cannot wait for it, and an attack must not hide in a long text, so streams and the other categories go by windows.
   */
  #judgeWhole(): void {
    const whole = this.#parts.classifier?.score(this.#text.slice(0, Math.min(this.#processed, longestWhole))) ?? {};
    const scores: Partial<Record<ClassifiedCategory, number>> = { ...this.#scores };
    for (const category of moderationCategories) {
      const window = scores[category];
      const score = whole[category];
      if (window !== undefined && score !== undefined && !category.startsWith('illicit'))
        scores[category] = sigmoid((logit(window) + logit(score)) / 2);
    }
    this.#scores = scores;
  }

  #applyScores(scores: Scores, end: number): void {
    const { policy, direction, classifier } = this.#parts;
    const { settings } = policy;
    const thresholds = classifier?.thresholds ?? {};
    this.#scores = maxScores(this.#scores, scores);
    if (actionForScores(settings, direction, flaggedCategories(settings, thresholds, direction, scores)) === 'block') {
      this.#block(this.#holdsWindows ? this.#text.rawStart(this.#currentWindow) : this.#rawOffset(this.#heldFrom()));
    }
    this.#isWarned = classifiedCategories.some(
      (category) =>
        actionForCategory(settings, direction, category) === 'block' &&
        (scores[category] ?? 0) >= warningShare * thresholdFor(settings, thresholds, category),
    );
    this.#previousWindow = this.#currentWindow;
    this.#currentWindow = end;
  }

  get #holdsWindows(): boolean {
    return this.#judge !== undefined && (this.#parts.policy.settings.streaming === 'hold' || this.#isWarned);
  }

  /** Index of the first folded character that may not be seen yet. */
  #heldFrom(): number {
    let held = this.#processed;
    if (this.#holdsSpans) held = Math.min(held, this.#runs.heldFrom(held), this.#privateKey.heldFrom(held));
    for (const denylist of this.#denylists) held = Math.min(held, denylist.heldFrom(held));
    return this.#holdsWindows ? Math.min(held, this.#currentWindow) : held;
  }

  #rawOffset(index: number): number {
    return index < this.#text.length ? this.#text.rawStart(index) : this.#text.rawLength;
  }

  #actionFor(kind: SpanKind, rule: string): Action {
    const { policy, direction } = this.#parts;
    return actionForSpan(policy.settings, direction, kind, rule);
  }

  #found(kind: SpanKind, rule: string, from: number, to: number): void {
    this.#record(kind, rule, this.#text.rawStart(from), this.#text.rawEnd(to - 1), (start, end) =>
      this.#queue.replace(start, end, labelFor(kind)),
    );
  }

  #opened(kind: SpanKind, rule: string, from: number): void {
    const start = this.#text.rawStart(from);
    const action = this.#actionFor(kind, rule);
    this.#open = { kind, rule, start };
    if (this.#isApplied(action)) this.#queue.open(start, labelFor(kind));
    if (action === 'block') this.#block(start);
  }

  #closed(to: number): void {
    const open = this.#open;
    this.#open = undefined;
    if (open !== undefined) this.#record(open.kind, open.rule, open.start, this.#text.rawEnd(to - 1), (_, end) => this.#queue.close(end));
  }

  #record(kind: SpanKind, rule: string, start: number, end: number, replace: (start: number, end: number) => void): void {
    const action = this.#actionFor(kind, rule);
    if (action === 'allow') return;
    this.#findings.push({ kind, rule, start, end, action });
    if (this.#isApplied(action)) replace(start, end);
    if (action === 'block') this.#block(start);
  }

  #isApplied(action: Action): boolean {
    return isReplaced(action) && !this.#parts.policy.settings.dryRun;
  }

  #block(at: number): void {
    if (this.#parts.policy.settings.dryRun || this.#parts.inspectsOnly === true) return;
    this.#blockedAt = Math.min(this.#blockedAt ?? Infinity, at);
  }
}

const isReplaced = (action: Action) => action === 'redact' || action === 'block';

const logit = (probability: number) => Math.log((probability + 1e-9) / (1 - probability + 1e-9));
const sigmoid = (odds: number) => 1 / (1 + Math.exp(-odds));
