import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  beginGeneration,
  type Effect,
  emittedTokens,
  type GenerationEvent,
  type GenerationState,
  isFinal,
  step,
} from '../../../../functions/gateway/generation/machine.ts';

const policy = { maxFailures: 3, canWait: true, canContinue: true, holdStep: 8, isCapped: false };

/** The world around the machine: what it asked for and has not got yet. Random numbers decide what happens next. */
class World {
  state: GenerationState;
  readonly effects: Effect[] = [];
  readonly #choose: (below: number) => number;
  /** What each choice waits for. */
  readonly waitingFor: ('nothing' | 'call' | 'capacity' | 'extension')[];
  asked: number[];
  delivered: number[];

  constructor(state: GenerationState, choose: (below: number) => number) {
    this.state = state;
    this.#choose = choose;
    this.waitingFor = state.choices.map(() => 'nothing');
    this.asked = state.choices.map(() => 0);
    this.delivered = state.choices.map(() => 0);
  }

  send(event: GenerationEvent): void {
    const before = this.state;
    const { state, effects } = step(this.state, event);
    this.state = state;
    if (isFinal(before.phase)) expect(effects).toEqual([]);
    for (const effect of effects) {
      this.effects.push(effect);
      if (effect.type === 'settle') continue;
      const { choice } = effect;
      switch (effect.type) {
        case 'call':
          expect(this.waitingFor[choice]).not.toBe('call');
          expect(effect.emitted).toBe(this.delivered[choice]);
          expect(effect.maxTokens).toBeGreaterThan(0);
          expect(effect.emitted + effect.maxTokens).toBeLessThanOrEqual(state.choices[choice]?.maxTokens ?? 0);
          this.waitingFor[choice] = 'call';
          this.asked[choice] = effect.maxTokens;
          break;
        case 'wait-for-capacity':
          this.waitingFor[choice] = 'capacity';
          break;
        case 'extend-hold':
          this.waitingFor[choice] = 'extension';
          break;
        case 'deliver':
          this.delivered[choice] = (this.delivered[choice] ?? 0) + effect.count;
          break;
        case 'abort-call':
        case 'end-choice':
        case 'fail':
          this.waitingFor[choice] = 'nothing';
          break;
      }
    }
    expect(emittedTokens(state)).toBeLessThanOrEqual(state.heldTokens);
    expect(emittedTokens(state)).toBe(this.delivered.reduce((sum, count) => sum + count, 0));
    for (const choice of state.choices) expect(choice.emitted).toBeLessThanOrEqual(choice.maxTokens);
  }

  /** Something that can happen now, for one choice. */
  happen(): void {
    const choice = this.#choose(this.state.choices.length);
    switch (this.waitingFor[choice]) {
      case 'nothing':
        if (this.state.choices[choice]?.outcome === undefined) this.send({ type: 'choice-began', choice });
        return;
      case 'capacity':
        this.waitingFor[choice] = 'nothing';
        this.send({ type: 'capacity', choice });
        return;
      case 'extension': {
        // The rest of the tokens is offered again after an extension.
        this.waitingFor[choice] = 'call';
        const isRefused = this.#choose(3) === 0;
        this.send(isRefused ? { type: 'hold-refused', choice } : { type: 'hold-extended', choice, tokens: 1 + this.#choose(8) });
        return;
      }
      default:
        this.#endpoint(choice);
    }
  }

  #endpoint(choice: number): void {
    const left = this.asked[choice] ?? 0;
    switch (this.#choose(8)) {
      case 0:
        this.waitingFor[choice] = 'nothing';
        this.send({ type: 'call-ended', choice, finishReason: left === 0 ? 'length' : 'stop' });
        return;
      case 1:
        this.waitingFor[choice] = 'nothing';
        this.send({
          type: 'call-failed',
          choice,
          failure: (['capacity', 'broken', 'broken', 'refused'] as const)[this.#choose(4)] ?? 'broken',
          mayRetry: this.#choose(6) > 0,
        });
        return;
      case 2:
        this.send({ type: 'choice-stopped', choice });
        return;
      default: {
        if (left === 0) return;
        const count = 1 + this.#choose(Math.min(left, 4));
        const before = this.delivered[choice] ?? 0;
        this.send({ type: 'tokens', choice, count, isLastStop: this.#choose(10) === 0 });
        this.asked[choice] = left - ((this.delivered[choice] ?? 0) - before);
      }
    }
  }
}

const generations = fc.record({
  maxTokens: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 4 }),
  heldTokens: fc.integer({ min: 1, max: 60 }),
  canContinue: fc.boolean(),
  canWait: fc.boolean(),
  isCapped: fc.boolean(),
  choices: fc.infiniteStream(fc.nat(1_000_000)),
  cancelAt: fc.nat(120),
});

describe('the generation machine', () => {
  it('delivers no more than is held and settles exactly once, whatever happens in whatever order', () => {
    fc.assert(
      fc.property(generations, ({ maxTokens, heldTokens, canContinue, canWait, isCapped, choices, cancelAt }) => {
        const random = choices[Symbol.iterator]();
        const choose = (below: number) => (random.next().value ?? 0) % below;
        const state = beginGeneration({ maxTokens, heldTokens, policy: { ...policy, canContinue, canWait, isCapped } });
        const world = new World(state, choose);
        for (let turn = 0; turn < cancelAt && !isFinal(world.state.phase); turn += 1) world.happen();
        world.send({ type: choose(2) === 0 ? 'cancelled' : 'failed' });
        const settlements = world.effects.filter((effect) => effect.type === 'settle');
        expect(settlements).toHaveLength(1);
        expect(world.effects.at(-1)?.type === 'settle' || world.effects.at(-1)?.type === 'fail').toBe(true);
        expect(settlements[0]).toMatchObject({ completionTokens: emittedTokens(world.state), phase: world.state.phase });
        // Nothing changes the end.
        const final = world.state;
        world.send({ type: 'tokens', choice: 0, count: 1, isLastStop: false });
        world.send({ type: 'call-failed', choice: 0, failure: 'broken', mayRetry: true });
        expect(world.state).toBe(final);
      }),
      { numRuns: 3_000 },
    );
  });

  it('keeps its laws when another process goes on with it at any moment', () => {
    fc.assert(
      fc.property(generations, fc.array(fc.nat(60), { minLength: 1, maxLength: 4 }), ({ maxTokens, heldTokens, choices }, deaths) => {
        const random = choices[Symbol.iterator]();
        const choose = (below: number) => (random.next().value ?? 0) % below;
        let state = beginGeneration({ maxTokens, heldTokens, policy });
        for (const happenings of deaths) {
          const world = new World(state, choose);
          world.delivered = state.choices.map((choice) => choice.emitted);
          for (let turn = 0; turn < happenings && !isFinal(world.state.phase); turn += 1) world.happen();
          if (isFinal(world.state.phase)) return;
          // All that is known of it afterwards: what was emitted, what is held, how often it was tried.
          const { attempts, heldTokens: held } = world.state;
          const before = { attempts, choices: world.state.choices.map(({ emitted, sawStopToken }) => ({ emitted, sawStopToken })) };
          state = beginGeneration({ maxTokens, heldTokens: held, policy, before });
          expect(emittedTokens(state)).toBe(emittedTokens(world.state));
          expect(state.attempts).toBe(attempts);
        }
        // In peace it comes to its end, with exactly what was missing.
        const settlements: Effect[] = [];
        for (const [choice, { maxTokens: most, emitted, sawStopToken }] of state.choices.entries()) {
          const began = step(state, { type: 'choice-began', choice });
          state = began.state;
          settlements.push(...began.effects.filter((effect) => effect.type === 'settle'));
          const call = began.effects.find((effect) => effect.type === 'call');
          expect(call === undefined).toBe(sawStopToken || emitted === most);
          if (call === undefined) continue;
          expect(call).toMatchObject({ emitted, maxTokens: most - emitted });
          state = step(state, { type: 'hold-extended', choice, tokens: 200 }).state;
          state = step(state, { type: 'tokens', choice, count: most - emitted, isLastStop: false }).state;
          const ended = step(state, { type: 'call-ended', choice, finishReason: 'length' });
          state = ended.state;
          settlements.push(...ended.effects.filter((effect) => effect.type === 'settle'));
        }
        expect(settlements).toHaveLength(1);
        expect(settlements[0]).toMatchObject({ completionTokens: emittedTokens(state), phase: 'completed' });
      }),
      { numRuns: 1_000 },
    );
  });

  it('ends by itself however often calls fail', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 200, maxLength: 200 }), (counts) => {
        let { state } = step(beginGeneration({ maxTokens: [100], heldTokens: 100, policy }), { type: 'choice-began', choice: 0 });
        for (const count of counts) {
          if (isFinal(state.phase)) break;
          if (count > 0) state = step(state, { type: 'tokens', choice: 0, count, isLastStop: false }).state;
          state = step(state, { type: 'call-failed', choice: 0, failure: 'broken', mayRetry: true }).state;
        }
        expect(isFinal(state.phase)).toBe(true);
      }),
    );
  });

  it('asks the next endpoint for exactly what is missing', () => {
    const began = step(beginGeneration({ maxTokens: [10], heldTokens: 10, policy }), { type: 'choice-began', choice: 0 });
    expect(began.effects).toEqual([{ type: 'call', choice: 0, emitted: 0, maxTokens: 10, failures: 0 }]);
    const some = step(began.state, { type: 'tokens', choice: 0, count: 4, isLastStop: false });
    const again = step(some.state, { type: 'call-failed', choice: 0, failure: 'broken', mayRetry: true });
    expect(again.effects).toEqual([{ type: 'call', choice: 0, emitted: 4, maxTokens: 6, failures: 1 }]);
  });

  it('knows that an answer was whole when the connection broke after its last token', () => {
    const began = step(beginGeneration({ maxTokens: [3], heldTokens: 3, policy }), { type: 'choice-began', choice: 0 });
    const full = step(began.state, { type: 'tokens', choice: 0, count: 3, isLastStop: false });
    expect(step(full.state, { type: 'call-failed', choice: 0, failure: 'broken', mayRetry: true }).effects).toEqual([
      { type: 'end-choice', choice: 0, finishReason: 'length' },
      { type: 'settle', phase: 'completed', completionTokens: 3 },
    ]);
    const stop = step(began.state, { type: 'tokens', choice: 0, count: 2, isLastStop: true });
    expect(step(stop.state, { type: 'call-failed', choice: 0, failure: 'broken', mayRetry: true }).effects[0]).toEqual({
      type: 'end-choice',
      choice: 0,
      finishReason: 'stop',
    });
  });

  it('does not take up an answer under a grammar in its middle', () => {
    const state = beginGeneration({ maxTokens: [9], heldTokens: 9, policy: { ...policy, canContinue: false } });
    const some = step(step(state, { type: 'choice-began', choice: 0 }).state, { type: 'tokens', choice: 0, count: 1, isLastStop: false });
    expect(
      step(some.state, { type: 'call-failed', choice: 0, failure: 'broken', mayRetry: true }).effects.map((effect) => effect.type),
    ).toEqual(['fail', 'settle']);
    const none = step(step(state, { type: 'choice-began', choice: 0 }).state, {
      type: 'call-failed',
      choice: 0,
      failure: 'broken',
      mayRetry: true,
    });
    expect(none.effects[0]?.type).toBe('call');
  });

  it('cuts at what is held when the budget has no more, and says length', () => {
    const began = step(beginGeneration({ maxTokens: [10], heldTokens: 4, policy }), { type: 'choice-began', choice: 0 });
    const over = step(began.state, { type: 'tokens', choice: 0, count: 6, isLastStop: false });
    expect(over.effects).toEqual([
      { type: 'deliver', choice: 0, count: 4 },
      { type: 'extend-hold', choice: 0, tokens: 6 },
    ]);
    expect(step(over.state, { type: 'hold-refused', choice: 0 }).effects).toEqual([
      { type: 'abort-call', choice: 0 },
      { type: 'end-choice', choice: 0, finishReason: 'length' },
      { type: 'settle', phase: 'cut', completionTokens: 4 },
    ]);
  });
});
