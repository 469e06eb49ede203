/**
 * The generation as a pure machine: (state, event) -> (state, effects). It decides how many tokens may be delivered, when more are held, when
 * an endpoint is called again and what remains to be asked of it, when the answer is over and what is settled. `generation.ts` carries the
 * effects out. No clock, no network, no promises: every interleaving can be tried.
 *
 *   held -> waiting -> running -> completed | stopped | cut | cancelled | failed
 *
 * Laws (test/functions/gateway/generation/machine.test.ts): tokens delivered <= tokens held; exactly one `settle`, the last effect of every run;
 * a choice has at most one call open; a call after the first token asks for exactly what is missing; nothing follows a final phase.
 */

export type RunningPhase = 'held' | 'waiting' | 'running';
export type FinalPhase = 'completed' | 'stopped' | 'cut' | 'cancelled' | 'failed';
export type Phase = RunningPhase | FinalPhase;

export interface ChoiceState {
  readonly maxTokens: number;
  readonly emitted: number;
  /** The last id that was emitted ends an answer. */
  readonly sawStopToken: boolean;
  readonly calling: boolean;
  /** Failed calls in a row, none of which brought the answer far. */
  readonly failures: number;
  readonly emittedSinceFailure: number;
  readonly outcome: ChoiceOutcome | undefined;
}

/** `stop`: the model ended it. `length`: `maxTokens` are there. `sequence`: we ended it, at a stop sequence or a verdict. `cut`: the budget ended. */
export type ChoiceOutcome = 'stop' | 'length' | 'sequence' | 'cut' | 'failed';

export interface GenerationState {
  readonly phase: Phase;
  readonly choices: readonly ChoiceState[];
  /** Completion tokens set aside for all choices together. */
  readonly heldTokens: number;
  readonly attempts: number;
  readonly policy: GenerationPolicy;
}

export interface GenerationPolicy {
  /** Failed calls in a row that are tried again. */
  readonly maxFailures: number;
  /** Whether a choice that meets no capacity waits for it. */
  readonly canWait: boolean;
  /** An answer under a grammar cannot be taken up in its middle by an engine that starts the grammar anew. */
  readonly canContinue: boolean;
  /** Completion tokens that are set aside at a time when the first hold did not cover all. */
  readonly holdStep: number;
  /** The budget had no more than the first hold: endpoints are asked for no more either, and nothing is generated for nobody. */
  readonly isCapped: boolean;
}

export type GenerationEvent =
  | { readonly type: 'choice-began'; readonly choice: number }
  /** Others wait for capacity already: this one stands behind them before it calls anybody. */
  | { readonly type: 'queued'; readonly choice: number }
  /** Tokens came from the endpoint; `isLastStop` when the last of them ends an answer. */
  | { readonly type: 'tokens'; readonly choice: number; readonly count: number; readonly isLastStop: boolean }
  | { readonly type: 'call-ended'; readonly choice: number; readonly finishReason: 'stop' | 'length' }
  /** `mayRetry`: the model's retry budget has a call left for it. */
  | { readonly type: 'call-failed'; readonly choice: number; readonly failure: CallFailure; readonly mayRetry: boolean }
  | { readonly type: 'hold-extended'; readonly choice: number; readonly tokens: number }
  | { readonly type: 'hold-refused'; readonly choice: number }
  /** The queue let this choice in. */
  | { readonly type: 'capacity'; readonly choice: number }
  /** A stop sequence or a filter ended the choice. */
  | { readonly type: 'choice-stopped'; readonly choice: number }
  | { readonly type: 'cancelled' }
  | { readonly type: 'failed' };

/** `capacity`: nothing runs there yet, or everything is taken. `refused`: the request is at fault. `broken`: anything else. */
export type CallFailure = 'capacity' | 'refused' | 'broken';

export type Effect =
  /** Ask an endpoint for what is missing: the answer's first `emitted` tokens are there already. */
  | { readonly type: 'call'; readonly choice: number; readonly emitted: number; readonly maxTokens: number; readonly failures: number }
  | { readonly type: 'wait-for-capacity'; readonly choice: number }
  /** Hand on so many of the tokens that came. */
  | { readonly type: 'deliver'; readonly choice: number; readonly count: number }
  | { readonly type: 'extend-hold'; readonly choice: number; readonly tokens: number }
  | { readonly type: 'abort-call'; readonly choice: number }
  | { readonly type: 'end-choice'; readonly choice: number; readonly finishReason: 'stop' | 'length' }
  /** The failure is the answer's. */
  | { readonly type: 'fail'; readonly choice: number }
  | { readonly type: 'settle'; readonly phase: FinalPhase; readonly completionTokens: number };

const GOOD_STRETCH = 16;

export interface Step {
  readonly state: GenerationState;
  readonly effects: readonly Effect[];
}

/** What another process had of an answer that goes on here. */
export interface EmittedBefore {
  readonly attempts: number;
  readonly choices: readonly { readonly emitted: number; readonly sawStopToken: boolean }[];
}

export function beginGeneration(options: {
  readonly maxTokens: readonly number[];
  readonly heldTokens: number;
  readonly policy: GenerationPolicy;
  readonly before?: EmittedBefore | undefined;
}): GenerationState {
  return {
    phase: 'held',
    choices: options.maxTokens.map((maxTokens, index) => ({
      maxTokens,
      emitted: options.before?.choices[index]?.emitted ?? 0,
      sawStopToken: options.before?.choices[index]?.sawStopToken ?? false,
      calling: false,
      failures: 0,
      emittedSinceFailure: 0,
      outcome: undefined,
    })),
    heldTokens: options.heldTokens,
    attempts: options.before?.attempts ?? 0,
    policy: options.policy,
  };
}

export function isFinal(phase: Phase): phase is FinalPhase {
  return phase !== 'held' && phase !== 'waiting' && phase !== 'running';
}

export function emittedTokens(state: GenerationState): number {
  return state.choices.reduce((sum, choice) => sum + choice.emitted, 0);
}

/** Events that come too late, after the end or for a choice that is over, change nothing. */
export function step(state: GenerationState, event: GenerationEvent): Step {
  if (isFinal(state.phase)) return { state, effects: [] };
  if (event.type === 'cancelled' || event.type === 'failed') return endAll(state, event.type);
  const choice = state.choices[event.choice];
  if (choice === undefined || choice.outcome !== undefined) return { state, effects: [] };
  switch (event.type) {
    case 'choice-began':
      return choice.calling ? { state, effects: [] } : call(state, event.choice, choice);
    case 'queued':
      return { state: state.phase === 'held' ? { ...state, phase: 'waiting' } : state, effects: [] };
    case 'capacity':
      return !choice.calling ? call(state, event.choice, choice) : { state, effects: [] };
    case 'tokens':
      return takeTokens(state, event.choice, choice, event);
    case 'call-ended':
      return endCall(state, event.choice, choice, event.finishReason);
    case 'call-failed':
      return takeFailure(withChoice(state, event.choice, { calling: false }), event.choice, event);
    case 'hold-extended':
      return { state: { ...state, heldTokens: state.heldTokens + event.tokens }, effects: [] };
    case 'hold-refused':
      return endChoice(state, event.choice, 'cut', choice.calling);
    case 'choice-stopped':
      return endChoice(state, event.choice, 'sequence', choice.calling);
  }
}

function call(state: GenerationState, index: number, choice: ChoiceState): Step {
  // The connection broke between the last token and the word that it was the last.
  if (choice.sawStopToken) return endChoice(state, index, 'stop');
  // All is there; or nothing was asked for, and the prompt alone is the answer.
  if (choice.emitted === choice.maxTokens) return endChoice(state, index, 'length');
  if (choice.emitted > 0 && !state.policy.canContinue) return fail(state, index);
  const missing = Math.min(choice.maxTokens - choice.emitted, state.policy.isCapped ? heldRoom(state) : Number.POSITIVE_INFINITY);
  if (missing < 1) return endChoice(state, index, 'cut');
  const next = withChoice({ ...state, phase: 'running', attempts: state.attempts + 1 }, index, { calling: true });
  return {
    state: next,
    effects: [{ type: 'call', choice: index, emitted: choice.emitted, maxTokens: missing, failures: choice.failures }],
  };
}

/** The engine counts to what it was asked for, which is less than the caller asked for when the budget was short. */
function endCall(state: GenerationState, index: number, choice: ChoiceState, finishReason: 'stop' | 'length'): Step {
  const isCut = finishReason === 'length' && state.policy.isCapped && choice.emitted < choice.maxTokens && heldRoom(state) < 1;
  return endChoice(withChoice(state, index, { calling: false }), index, isCut ? 'cut' : finishReason);
}

function heldRoom(state: GenerationState): number {
  return state.heldTokens - emittedTokens(state);
}

/** As many as are held; the rest waits for `hold-extended` and is offered again. */
function takeTokens(
  state: GenerationState,
  index: number,
  choice: ChoiceState,
  event: { readonly count: number; readonly isLastStop: boolean },
): Step {
  const room = Math.min(heldRoom(state), choice.maxTokens - choice.emitted);
  const count = Math.min(event.count, room);
  const emitted = choice.emitted + count;
  const sawStopToken = event.isLastStop && count === event.count;
  const next = withChoice(state, index, { emitted, sawStopToken, emittedSinceFailure: choice.emittedSinceFailure + count });
  const effects: Effect[] = count > 0 ? [{ type: 'deliver', choice: index, count }] : [];
  if (count === event.count) return { state: next, effects };
  if (emitted === choice.maxTokens) return withEffects(endChoice(next, index, 'length', choice.calling), effects);
  const missing = Math.min(choice.maxTokens - emitted, state.policy.holdStep);
  return { state: next, effects: [...effects, { type: 'extend-hold', choice: index, tokens: missing }] };
}

function takeFailure(
  state: GenerationState,
  index: number,
  { failure, mayRetry }: { readonly failure: CallFailure; readonly mayRetry: boolean },
): Step {
  const choice = state.choices[index];
  if (choice === undefined) return { state, effects: [] };
  if (choice.sawStopToken || choice.emitted === choice.maxTokens) return call(state, index, choice);
  if (failure === 'refused' || (failure === 'capacity' && !state.policy.canWait) || (choice.emitted > 0 && !state.policy.canContinue))
    return fail(state, index);
  if (failure === 'capacity') {
    return { state: { ...state, phase: 'waiting' }, effects: [{ type: 'wait-for-capacity', choice: index }] };
  }
  // An endpoint that breaks after every token would go on for ever: only a stretch of tokens makes up for a failure.
  const failures = isGoodStretch(choice) ? 0 : choice.failures;
  if (failures >= state.policy.maxFailures || !mayRetry) return fail(state, index);
  const next = withChoice(state, index, { failures: failures + 1, emittedSinceFailure: 0 });
  return call(next, index, { ...choice, failures: failures + 1 });
}

/** The choice's call brought the answer so far that its failure is not held against anybody. */
export function isGoodStretch({ emittedSinceFailure }: Pick<ChoiceState, 'emittedSinceFailure'>): boolean {
  return emittedSinceFailure >= GOOD_STRETCH;
}

function fail(state: GenerationState, index: number): Step {
  const failed = withChoice(state, index, { outcome: 'failed' });
  return withEffects(endAll(failed, 'failed'), [{ type: 'fail', choice: index }]);
}

function endChoice(state: GenerationState, index: number, outcome: Exclude<ChoiceOutcome, 'failed'>, isCalling = false): Step {
  const next = withChoice(state, index, { outcome, calling: false });
  const effects: Effect[] = isCalling ? [{ type: 'abort-call', choice: index }] : [];
  effects.push({ type: 'end-choice', choice: index, finishReason: outcome === 'length' || outcome === 'cut' ? 'length' : 'stop' });
  if (next.choices.some((choice) => choice.outcome === undefined)) return { state: next, effects };
  const outcomes = next.choices.map((choice) => choice.outcome);
  const phase = outcomes.includes('cut') ? 'cut' : outcomes.includes('sequence') ? 'stopped' : 'completed';
  return { state: { ...next, phase }, effects: [...effects, { type: 'settle', phase, completionTokens: emittedTokens(next) }] };
}

function endAll(state: GenerationState, phase: 'cancelled' | 'failed'): Step {
  const effects: Effect[] = state.choices.flatMap((choice, index) => (choice.calling ? [{ type: 'abort-call', choice: index }] : []));
  const choices = state.choices.map((choice) => ({ ...choice, calling: false }));
  return {
    state: { ...state, phase, choices },
    effects: [...effects, { type: 'settle', phase, completionTokens: emittedTokens(state) }],
  };
}

function withEffects(after: Step, before: readonly Effect[]): Step {
  return { state: after.state, effects: [...before, ...after.effects] };
}

function withChoice(state: GenerationState, index: number, change: Partial<ChoiceState>): GenerationState {
  return { ...state, choices: state.choices.map((choice, at) => (at === index ? { ...choice, ...change } : choice)) };
}
