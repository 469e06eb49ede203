/**
 * Carries out what the machine (`machine.ts`) decides: calls endpoints, sets tokens aside, waits for capacity, and settles. One object for one
 * request, however many choices it has.
 */
import type { ModelDeployment } from '../../../models/catalog.ts';
import { EndpointUnavailableError, GatewayError, GenerationCancelledError } from '../errors.ts';
import type { Caller } from '../keys/caller.ts';
import type { RateLimits } from '../keys/limit-answers.ts';
import { costOf, type Hold, type Meters, type Price } from '../keys/meters.ts';
import { chooseTarget, type WeightedTarget } from '../routing/choose-target.ts';
import { hedgeFirstEvent } from '../routing/hedge-first-event.ts';
import { nameOf, type TargetHealth } from '../routing/target-health.ts';
import type { Clock, Endpoint, EndpointEvent, EndpointRequest, EndpointTarget, Log } from '../services.ts';
import { type CallOutcome, CallRecord } from './call-record.ts';
import type { CapacityQueue, Ticket } from './capacity-queue.ts';
import type { Ledger } from './ledger.ts';
import {
  beginGeneration,
  type CallFailure,
  type Effect,
  emittedTokens,
  type FinalPhase,
  type GenerationState,
  isFinal,
  type GenerationEvent as MachineEvent,
  type Phase,
  step,
} from './machine.ts';
import { ownCostOf } from './own-cost.ts';
import type { VerdictTally } from './verdicts.ts';

/** What every generation of this process shares. */
export interface GenerationRoom {
  readonly endpoint: Endpoint;
  readonly meters: Meters;
  readonly ledger: Ledger;
  readonly health: TargetHealth;
  readonly queue: CapacityQueue;
  readonly clock: Clock;
  readonly log: Log;
  readonly config: { readonly retry: { readonly maxFailures: number; readonly canWait: boolean; readonly hedgeAfterMs: number } };
}

export interface GenerationPlan {
  readonly id: string;
  readonly requestId: string;
  readonly modelId: string;
  readonly caller: Caller;
  readonly targets: readonly WeightedTarget[];
  readonly price: Price;
  /** The own instances that it runs on. */
  readonly deployment: ModelDeployment | undefined;
  /** What is found in its prompts and its answer. */
  readonly verdicts: VerdictTally;
  /** Each prompt's tokens, counted once, however many choices it has. */
  readonly promptTokens: number;
  readonly maxTokens: readonly number[];
  readonly hold: Hold;
  /** The budget had no more than was set aside. */
  readonly isCapped: boolean;
  readonly canContinue: boolean;
  readonly stopTokenIds: readonly number[];
  readonly leave: () => void;
}

/** One choice's request without what changes from call to call. */
export type ChoiceRequest = Omit<EndpointRequest, 'target'>;

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
  readonly #failedTargets: EndpointTarget[] = [];
  /** Choices that their reader left, because it had enough or because something broke: the end of the whole tells. */
  readonly #left = new Set<number>();
  readonly #entered = Promise.withResolvers<void>();
  readonly #settled = Promise.withResolvers<FinalPhase>();

  constructor(room: GenerationRoom, plan: GenerationPlan) {
    this.id = plan.id;
    this.#room = room;
    this.#plan = plan;
    this.#hold = plan.hold;
    this.#ticket = room.queue.ticket(plan.modelId, plan.caller.priority);
    this.#emitted = plan.maxTokens.map(() => []);
    this.#state = beginGeneration({
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

  status(): { readonly phase: Phase; readonly position: number; readonly etaSeconds: number | undefined } {
    return { phase: this.phase, ...this.#room.queue.status(this.#ticket) };
  }

  /** One choice's tokens, from as many endpoints as it takes, as if they came from one. Leaving early ends the choice. */
  async *tokens(index: number, request: ChoiceRequest, signal: AbortSignal): AsyncGenerator<EndpointEvent> {
    try {
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

  /** The whole answer's events; when they end, however they end, what was used is written down and the rest is given back. */
  async *settled<Event>(events: AsyncIterable<Event>): AsyncGenerator<Event> {
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
      if (isFinal(this.#state.phase)) this.#settled.resolve(this.#state.phase);
    }
  }

  async *#call(
    index: number,
    request: ChoiceRequest,
    effect: Extract<Effect, { type: 'call' }>,
    signal: AbortSignal,
  ): AsyncGenerator<EndpointEvent, readonly Effect[]> {
    const { health, clock, log } = this.#room;
    const emitted = this.#emitted[index] ?? [];
    const target = chooseTarget(this.#plan.targets, health, {
      promptTokenIds: request.promptTokenIds,
      tried: this.#failedTargets,
      nowMs: clock.now(),
    });
    const { weight: _, ...named } = target;
    const invocation: EndpointRequest = {
      ...request,
      target: named,
      promptTokenIds: emitted.length === 0 ? request.promptTokenIds : [...request.promptTokenIds, ...emitted],
      maxTokens: effect.maxTokens,
    };
    const stop = new AbortController();
    health.began(target);
    const beganAt = clock.now();
    let answered = false;
    let outcome: CallOutcome = 'left';
    try {
      for await (const event of this.#invoke(invocation, AbortSignal.any([signal, stop.signal]))) {
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
          const isLastStop = this.#plan.stopTokenIds.includes(event.tokenIds.at(-1) ?? -1);
          let effects = this.#apply({ type: 'tokens', choice: index, count, isLastStop });
          const delivered = effects.find((one) => one.type === 'deliver')?.count ?? 0;
          if (delivered > 0) {
            const end = offset + delivered;
            emitted.push(...event.tokenIds.slice(offset, end));
            yield {
              type: 'tokens',
              tokenIds: event.tokenIds.slice(offset, end),
              ...(event.logprobs === undefined ? {} : { logprobs: event.logprobs.slice(offset, end) }),
            };
            offset = end;
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
      const failure = this.#spillOver(classify(error), target);
      this.#failure = error instanceof Error ? error : new Error('the endpoint failed', { cause: error });
      if (failure === 'broken') {
        if (classify(error) === 'broken') health.failed(target, clock.now());
        this.#failedTargets.push(target);
      }
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
      return this.#apply({ type: 'call-failed', choice: index, failure });
    } finally {
      health.ended(target);
      this.#calls.ended(target, outcome, answered ? clock.now() - beganAt : 0);
      stop.abort();
    }
  }

  /** One call; with a second one beside it when the first is silent for too long and there is another target. */
  #invoke(invocation: EndpointRequest, signal: AbortSignal): AsyncIterable<EndpointEvent> {
    const { endpoint, health, clock, config } = this.#room;
    const isFirst = this.#firstTokenAt === undefined;
    if (config.retry.hedgeAfterMs === 0 || this.#plan.targets.length < 2 || !isFirst) return endpoint.invoke(invocation, signal);
    const candidate = (request: EndpointRequest) => {
      const stop = new AbortController();
      return { events: endpoint.invoke(request, AbortSignal.any([signal, stop.signal])), stop: () => stop.abort() };
    };
    return hedgeFirstEvent(
      candidate(invocation),
      () => {
        const tried = [...this.#failedTargets, invocation.target];
        const { weight: _, ...target } = chooseTarget(this.#plan.targets, health, {
          promptTokenIds: invocation.promptTokenIds,
          tried,
          nowMs: clock.now(),
        });
        return tried.some((one) => nameOf(one) === nameOf(target)) ? undefined : candidate({ ...invocation, target });
      },
      config.retry.hedgeAfterMs,
    );
  }

  /** One target is full: another that this answer has not met may not be. Only when all are, it waits. */
  #spillOver(failure: CallFailure, target: EndpointTarget): CallFailure {
    if (failure !== 'capacity') return failure;
    const met = new Set([...this.#failedTargets, target].map(nameOf));
    if (this.#plan.targets.some((other) => !met.has(nameOf(other)))) return 'broken';
    this.#failedTargets.length = 0;
    return 'capacity';
  }

  async #waitInLine(signal: AbortSignal): Promise<void> {
    if (this.#waitedInLine) this.#room.queue.refused(this.#ticket);
    this.#waitedInLine = false;
    const turn = this.#room.queue.wait(this.#ticket, signal);
    if (this.#room.queue.status(this.#ticket).position > 0) this.#entered.resolve();
    await turn;
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

  async #settle(): Promise<void> {
    const settlement = this.#settlement;
    if (settlement === undefined || !isFinal(this.#state.phase)) return;
    this.#settlement = undefined;
    this.#plan.leave();
    if (this.#waitedInLine) this.#room.queue.refused(this.#ticket);
    const { clock, ledger, meters, log } = this.#room;
    const { caller, hold, price } = this.#plan;
    const { phase, completionTokens } = settlement;
    // Who got nothing but an error pays nothing.
    const wasAnswered = (this.#state.attempts > 0 || phase === 'completed') && !(phase === 'failed' && completionTokens === 0);
    const used = { promptTokens: wasAnswered ? this.#plan.promptTokens : 0, completionTokens };
    const calls = this.#calls.summary;
    const line = {
      generationId: this.id,
      requestId: this.#plan.requestId,
      organizationId: caller.organizationId,
      projectId: caller.projectId,
      keyId: caller.keyId,
      modelId: this.#plan.modelId,
      phase,
      startedAt: hold.at,
      endedAt: clock.now(),
      firstTokenMs: this.#firstTokenAt === undefined ? null : this.#firstTokenAt - hold.at,
      ...used,
      cachedPromptTokens: wasAnswered ? this.#cachedPromptTokens : 0,
      attempts: this.#state.attempts,
      ...calls,
      costNanodollars: costOf(used, price),
      ownCostNanodollars: ownCostOf(this.#plan.deployment, calls.busyMs),
      verdicts: this.#plan.verdicts.verdicts,
    };
    for (let tries = 1; ; tries += 1) {
      try {
        const stands = await ledger.write(line);
        await meters.settle(this.#hold, stands);
        return;
      } catch (error) {
        // The hold stands, so that no limit is passed; whoever meets it after this process has ended settles it.
        log.write('error', 'settlement-failed', { generationId: this.id, tries, error: error instanceof Error ? error.name : 'unknown' });
        if (tries === SETTLEMENT_TRIES) return;
        await pause(200 * 2 ** tries);
      }
    }
  }
}

const SETTLEMENT_TRIES = 4;

/** The client left, or somebody cancelled. */
function isAbort(error: unknown): boolean {
  return error instanceof GenerationCancelledError || (error instanceof DOMException && error.name === 'AbortError');
}

function classify(error: unknown): CallFailure {
  if (!(error instanceof EndpointUnavailableError)) return error instanceof GatewayError ? 'refused' : 'broken';
  switch (error.reason) {
    case 'no-capacity':
    case 'not-ready':
    case 'queue-full':
    case 'throttled':
      return 'capacity';
    default:
      return 'broken';
  }
}

function outcomeOf(error: unknown): CallOutcome {
  if (error instanceof EndpointUnavailableError) return error.reason;
  return error instanceof GatewayError ? 'refused' : 'broken';
}

function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
  });
}
