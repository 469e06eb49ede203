/**
 * Carries out what the machine (`machine.ts`) decides: calls endpoints, sets tokens aside, waits for capacity, and settles. One object for one
 * request, however many choices it has.
 */
import { EndpointUnavailableError, TakenOverError } from '../errors.ts';
import type { RateLimits } from '../keys/limit-answers.ts';
import type { Hold } from '../keys/meters.ts';
import { withoutRouting } from '../routing/choose-target.ts';
import type { EndpointEvent, EndpointRequest, EndpointTarget, TargetStatus } from '../services.ts';
import { AnswerTargets } from './answer-targets.ts';
import { classify, isAbort, outcomeOf } from './call-failure.ts';
import { type CallOutcome, CallRecord } from './call-record.ts';
import type { Ticket } from './capacity-queue.ts';
import type { ChoiceRequest, GenerationPlan, GenerationProgress, GenerationRoom } from './generation-plan.ts';
import {
  beginGeneration,
  type Effect,
  emittedTokens,
  type FinalPhase,
  type GenerationState,
  isFinal,
  isGoodStretch,
  type GenerationEvent as MachineEvent,
  type Phase,
  step,
} from './machine.ts';
import { ownCostOf } from './own-cost.ts';
import { pause } from './pause.ts';
import { settleGeneration } from './settle-generation.ts';
import { isStillMine } from './takeover.ts';
import { withWhatRuns } from './what-runs.ts';

const FIRST_BACKOFF_MS = 100;
/** Tokens that are set aside at a time for answers without a limit of their own. */
export const HOLD_STEP = 1_024;

export class Generation {
  readonly id: string;
  readonly #room: GenerationRoom;
  readonly #plan: GenerationPlan;
  readonly #ticket: Ticket;
  readonly #emitted: number[][];
  readonly #calls = new CallRecord();
  #state: GenerationState;
  #hold: Hold;
  #failure: Error | undefined;
  #settlement: { readonly phase: FinalPhase; readonly completionTokens: number } | undefined;
  #firstTokenAt: number | undefined;
  #cachedPromptTokens = 0;
  #waitedInLine = false;
  #isTakenOver = false;
  readonly #targets: AnswerTargets;
  /** Choices that their reader left, because it had enough or because something broke: the end of the whole tells. */
  readonly #left = new Set<number>();
  readonly #entered = Promise.withResolvers<void>();
  readonly #settled = Promise.withResolvers<FinalPhase>();

  constructor(room: GenerationRoom, plan: GenerationPlan) {
    this.id = plan.id;
    this.#room = room;
    this.#plan = plan;
    this.#hold = plan.hold;
    this.#targets = new AnswerTargets(room, plan.targets);
    this.#ticket = room.queue.ticket(plan.modelId, plan.caller.priority);
    const { before } = plan;
    this.#emitted = plan.maxTokens.map((_, choice) => [...(before?.tokenIds[choice] ?? [])]);
    this.#firstTokenAt = before?.firstTokenAt;
    this.#state = beginGeneration({
      before: before && {
        attempts: before.attempts,
        choices: this.#emitted.map((ids) => ({ emitted: ids.length, sawStopToken: this.#endsAnswer(ids) })),
      },
      maxTokens: plan.maxTokens,
      heldTokens: plan.hold.completionTokens,
      policy: {
        maxFailures: room.config.retry.maxFailures,
        canWait: room.config.retry.canWait,
        canContinue: plan.canContinue,
        holdStep: HOLD_STEP,
        isCapped: plan.isCapped,
      },
    });
  }

  get phase(): Phase {
    return this.#state.phase;
  }

  get completionTokens(): number {
    return emittedTokens(this.#state);
  }

  /** What was set aside when it was admitted. */
  get hold(): Hold {
    return this.#plan.hold;
  }

  get isCapped(): boolean {
    return this.#plan.isCapped;
  }

  /** What another process needs to know to go on from here. */
  get progress(): GenerationProgress {
    return { attempts: this.#state.attempts, tokenIds: this.#emitted, firstTokenAt: this.#firstTokenAt };
  }

  /** Another process begins it, and settles. This one has not. */
  handedOver(): void {
    this.#plan.leave();
  }

  /** Another process goes on with it, and settles. */
  takenOver(): void {
    this.#isTakenOver = true;
  }

  /** The ids that a choice has got so far. */
  tokenIds(index: number): readonly number[] {
    return this.#emitted[index] ?? [];
  }

  /** Headers that tell the caller what is left of its limits. */
  get rateLimits(): RateLimits {
    return this.#plan.hold.rateLimits;
  }

  /** Resolves with how it ended, once that is written down. Never rejects. */
  get whenSettled(): Promise<FinalPhase> {
    return this.#settled.promise;
  }

  /** Resolves when the answer will take a while: it waits for capacity. Never rejects. */
  get waiting(): Promise<void> {
    return this.#entered.promise;
  }

  /** `runs` is what is known of the machines that would answer first. */
  status(): {
    readonly phase: Phase;
    readonly position: number;
    readonly etaSeconds: number | undefined;
    readonly runs: TargetStatus | undefined;
  } {
    const target = this.phase === 'waiting' ? this.#target : undefined;
    return { phase: this.phase, ...this.#room.queue.status(this.#ticket), runs: target && this.#room.statuses.last(target) };
  }

  /** Where it would be answered first. */
  get #target(): EndpointTarget | undefined {
    const [target] = this.#plan.targets;
    return target && withoutRouting(target);
  }

  /** One choice's tokens, from as many endpoints as it takes, as if they came from one. Leaving early ends the choice. */
  async *tokens(index: number, request: ChoiceRequest, signal: AbortSignal): AsyncGenerator<EndpointEvent> {
    try {
      for (const tokenId of this.#plan.before?.tokenIds[index] ?? []) yield { type: 'tokens', tokenIds: [tokenId] };
      let effects: readonly Effect[];
      if (this.#room.queue.isBusy(this.#plan.modelId)) {
        this.#apply({ type: 'queued', choice: index });
        await this.#waitInLine(signal);
      }
      effects = this.#apply({ type: 'choice-began', choice: index });
      for (;;) {
        const effect = effects.find((one) => one.type !== 'deliver' && one.type !== 'abort-call' && one.type !== 'settle');
        if (effect === undefined) return;
        switch (effect.type) {
          case 'call':
            if (effect.failures > 0) await pause(FIRST_BACKOFF_MS * 4 ** (effect.failures - 1) * (0.5 + Math.random() / 2), signal);
            effects = yield* this.#call(index, request, effect, signal);
            break;
          case 'wait-for-capacity':
            await this.#waitInLine(signal);
            effects = this.#apply({ type: 'capacity', choice: index });
            break;
          case 'end-choice':
            yield { type: 'end', finishReason: effect.finishReason, cachedPromptTokens: this.#cachedPromptTokens };
            return;
          case 'fail':
            throw this.#failure ?? new Error('a generation fails for a reason');
          case 'extend-hold':
            throw new Error('more is held only while tokens come');
          default:
            return;
        }
      }
    } finally {
      if (!signal.aborted) this.#left.add(index);
    }
  }

  /**
   * The whole answer's events; when they end, however they end, what was used is written down and the rest is given back.
   * @throws {TakenOverError} it failed, and another process had gone on with it: this failure is nobody's.
   */
  async *settled<Event>(events: AsyncIterable<Event>): AsyncGenerator<Event> {
    try {
      yield* this.#untilSettled(events);
    } catch (error) {
      throw this.#isTakenOver ? new TakenOverError() : error;
    }
  }

  async *#untilSettled<Event>(events: AsyncIterable<Event>): AsyncGenerator<Event> {
    let end: MachineEvent = { type: 'cancelled' };
    try {
      yield* events;
      for (const choice of this.#left) this.#apply({ type: 'choice-stopped', choice });
      end = { type: 'failed' };
    } catch (error) {
      if (!isAbort(error)) end = { type: 'failed' };
      throw error;
    } finally {
      this.#apply(end); // changes nothing when all choices are over
      await this.#settle();
      if (isFinal(this.#state.phase) && !this.#isTakenOver) this.#settled.resolve(this.#state.phase);
    }
  }

  async *#call(
    index: number,
    request: ChoiceRequest,
    effect: Extract<Effect, { type: 'call' }>,
    signal: AbortSignal,
  ): AsyncGenerator<EndpointEvent, readonly Effect[]> {
    const { health, clock, log, retries } = this.#room;
    const emitted = this.#emitted[index] ?? [];
    const target = this.#targets.choose(request, emitted.length > 0);
    if (effect.failures === 0) retries.deposit(this.#plan.modelId);
    const invocation: EndpointRequest = {
      ...request,
      target,
      promptTokenIds: emitted.length === 0 ? request.promptTokenIds : [...request.promptTokenIds, ...emitted],
      maxTokens: effect.maxTokens,
    };
    const stop = new AbortController();
    health.began(target);
    const beganAt = clock.now();
    let answered = false;
    let outcome: CallOutcome = 'left';
    try {
      const isSilent = this.#firstTokenAt === undefined;
      for await (const event of this.#targets.invoke(invocation, isSilent, AbortSignal.any([signal, stop.signal]))) {
        if (!answered) {
          answered = true;
          health.answered(target);
          if (this.#waitedInLine) this.#room.queue.succeeded(this.#ticket);
          this.#waitedInLine = false;
        }
        if (event.type === 'end') {
          outcome = 'answered';
          // Of a continued answer's prompt only what the first call was asked counts.
          if (emitted.length === 0 || this.#state.attempts === 1) this.#cachedPromptTokens = event.cachedPromptTokens ?? 0;
          return this.#apply({ type: 'call-ended', choice: index, finishReason: event.finishReason });
        }
        this.#firstTokenAt ??= clock.now();
        this.#calls.served(target);
        for (let offset = 0; offset < event.tokenIds.length; ) {
          const count = event.tokenIds.length - offset;
          const isLastStop = this.#endsAnswer(event.tokenIds);
          let effects = this.#apply({ type: 'tokens', choice: index, count, isLastStop });
          const delivered = effects.find((one) => one.type === 'deliver')?.count ?? 0;
          if (delivered > 0) {
            const end = offset + delivered;
            const size = this.#plan.isOneByOne ? 1 : delivered;
            emitted.push(...event.tokenIds.slice(offset, end));
            for (; offset < end; offset += size) {
              yield {
                type: 'tokens',
                tokenIds: event.tokenIds.slice(offset, offset + size),
                ...(event.logprobs === undefined ? {} : { logprobs: event.logprobs.slice(offset, offset + size) }),
              };
            }
          }
          const extension = effects.find((one) => one.type === 'extend-hold');
          if (extension !== undefined) effects = await this.#extend(index, extension.tokens);
          if (effects.some((one) => one.type === 'end-choice')) return effects;
        }
      }
      throw new EndpointUnavailableError('broken', target.endpointName);
    } catch (error) {
      signal.throwIfAborted();
      outcome = outcomeOf(error);
      const isFar = this.#isFar(index);
      const failure = this.#targets.failed(target, error, emitted.length > 0, isFar);
      this.#failure = error instanceof Error ? error : new Error('the endpoint failed', { cause: error });
      if (failure !== 'capacity' && this.#waitedInLine) {
        this.#waitedInLine = false;
        this.#room.queue.refused(this.#ticket);
      }
      log.write('warn', 'endpoint-call-failed', {
        generationId: this.id,
        endpoint: target.endpointName,
        failure,
        reason: error instanceof EndpointUnavailableError ? error.reason : undefined,
        emitted: emitted.length,
      });
      // Who was only turned away, and who came far, repeats nothing.
      const mayRetry = classify(error) !== 'broken' || isFar || retries.withdraw(this.#plan.modelId);
      return this.#apply({ type: 'call-failed', choice: index, failure, mayRetry });
    } finally {
      health.ended(target);
      this.#calls.ended(target, outcome, answered ? clock.now() - beganAt : 0);
      stop.abort();
    }
  }

  #endsAnswer(tokenIds: readonly number[]): boolean {
    return this.#plan.stopTokenIds.includes(tokenIds.at(-1) ?? -1);
  }

  #isFar(index: number): boolean {
    const choice = this.#state.choices[index];
    return choice !== undefined && isGoodStretch(choice);
  }

  async #waitInLine(signal: AbortSignal): Promise<void> {
    if (this.#waitedInLine) this.#room.queue.refused(this.#ticket);
    this.#waitedInLine = false;
    const turn = this.#room.queue.wait(this.#ticket, signal);
    if (this.#room.queue.status(this.#ticket).position > 0) this.#entered.resolve();
    await turn.catch(async (error: unknown) => {
      throw await withWhatRuns(error, this.#room.statuses, this.#target);
    });
    this.#waitedInLine = true;
  }

  async #extend(index: number, tokens: number): Promise<readonly Effect[]> {
    const longer = await this.#room.meters.extend(this.#hold, tokens);
    if (longer === undefined) return this.#apply({ type: 'hold-refused', choice: index });
    const more = longer.completionTokens - this.#hold.completionTokens;
    this.#hold = longer;
    return this.#apply({ type: 'hold-extended', choice: index, tokens: more });
  }

  #apply(event: MachineEvent): readonly Effect[] {
    const { state, effects } = step(this.#state, event);
    this.#state = state;
    for (const effect of effects) if (effect.type === 'settle') this.#settlement = effect;
    return effects;
  }

  /** A store that cannot be read cannot be written either: then the hold stands. */
  async #isMine(): Promise<boolean> {
    const { table, runner } = this.#room;
    return !this.#plan.isOneByOne || (await isStillMine(table, runner, this.id).catch(() => true));
  }

  async #settle(): Promise<void> {
    const settlement = this.#settlement;
    if (settlement === undefined || !isFinal(this.#state.phase)) return;
    this.#settlement = undefined;
    if (this.#waitedInLine) this.#room.queue.refused(this.#ticket);
    this.#isTakenOver ||= !(await this.#isMine()); // asked before this process stops to count it as its work
    this.#plan.leave();
    if (this.#isTakenOver) return;
    const { hold, caller, modelId, requestId, promptTokens, deployment, verdicts } = this.#plan;
    const { summary } = this.#calls;
    await settleGeneration(this.#room, caller, this.#hold, {
      ...{ modelId, requestId, promptTokens },
      phase: settlement.phase,
      completionTokens: settlement.completionTokens,
      endedAt: this.#room.clock.now(),
      firstTokenMs: this.#firstTokenAt === undefined ? null : this.#firstTokenAt - hold.at,
      cachedPromptTokens: this.#cachedPromptTokens,
      attempts: this.#state.attempts,
      seedChosen: this.#plan.isSeedChosen,
      ...summary,
      ownCostNanodollars: ownCostOf(deployment, summary.busyMs),
      verdicts: verdicts.verdicts,
    });
  }
}
