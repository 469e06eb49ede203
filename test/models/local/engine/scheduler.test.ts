import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PAGE_TOKENS, Scheduler, type SchedulerLimits, type Step } from '../../../../models/local/engine/scheduler.ts';

interface Job {
  readonly promptTokens: number;
  readonly maxTokens: number;
  readonly priority: number;
  /** The step at which it arrives. */
  readonly arrivesAt: number;
  /** The caller leaves after so many generated tokens. */
  readonly leavesAfter: number | undefined;
  /** Guesses that are right in each step in which it decodes alone, as far as they fit into its page. */
  readonly guessed: number;
}

const CONTEXT = 300;
const jobs = fc.array(
  fc.record({
    promptTokens: fc.integer({ min: 1, max: 200 }),
    maxTokens: fc.integer({ min: 1, max: 90 }),
    priority: fc.integer({ min: -2, max: 2 }),
    arrivesAt: fc.integer({ min: 0, max: 120 }),
    leavesAfter: fc.option(fc.integer({ min: 0, max: 60 }), { nil: undefined }),
    guessed: fc.integer({ min: 0, max: 9 }),
  }),
  { minLength: 1, maxLength: 14 },
);
const limits = fc.record({
  slots: fc.integer({ min: 1, max: 5 }),
  maxQueue: fc.constant(100),
  kvTokens: fc.integer({ min: CONTEXT + PAGE_TOKENS, max: 900 }),
  prefillChunk: fc.integer({ min: 1, max: 64 }),
});

/**
 * Plays the engine: knows how many positions the caches of each sequence hold, and checks that each step goes on from there.
 */
class Simulation {
  readonly scheduler: Scheduler;
  readonly #jobs: readonly Job[];
  readonly #limits: SchedulerLimits;
  /** Positions that are computed. */
  readonly #cached = new Map<string, number>();
  readonly lengths = new Map<string, number>();
  readonly generated = new Map<string, number>();
  readonly finished = new Set<string>();
  /** With the number of sequences that could decode when the step was chosen. */
  readonly steps: { readonly step: Step; readonly decoding: number }[] = [];
  readonly #decoding = new Set<string>();
  #time = 0;

  constructor(limitsOfRun: SchedulerLimits, all: readonly Job[]) {
    this.#limits = limitsOfRun;
    this.#jobs = all;
    this.scheduler = new Scheduler(limitsOfRun);
  }

  run(): void {
    while (this.finished.size < this.#jobs.length) {
      for (const [i, job] of this.#jobs.entries()) {
        if (job.arrivesAt !== this.#time) continue;
        expect(this.scheduler.add({ id: `${i}`, promptTokens: job.promptTokens, priority: job.priority })).toBe(true);
        this.lengths.set(`${i}`, job.promptTokens);
      }
      this.#step();
      this.#time++;
      expect(this.#time).toBeLessThan(20_000); // everything ends
    }
    expect(this.scheduler.running).toBe(0);
    expect(this.scheduler.usage).toBe(0);
  }

  #step(): void {
    const step = this.scheduler.next();
    for (const id of this.scheduler.takePutBack()) {
      this.#cached.delete(id);
      this.#decoding.delete(id);
    }
    expect(this.scheduler.running).toBeLessThanOrEqual(this.#limits.slots);
    expect(this.scheduler.usage).toBeLessThanOrEqual(1);
    if (step === undefined) return;
    this.steps.push({ step, decoding: this.#decoding.size });
    const ids = step.type === 'prefill' ? [step.id] : step.ids;
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) {
      const cached = this.#cached.get(id) ?? 0;
      const count = step.type === 'prefill' ? step.count : 1;
      if (step.type === 'prefill') expect(step.from).toBe(cached);
      else expect(cached).toBe((this.lengths.get(id) ?? 0) - 1);
      this.#cached.set(id, cached + count);
    }
    // Every sequence that can decode advances in each decode step, whatever runs beside it.
    if (step.type === 'decode') expect(new Set(ids)).toEqual(this.#decoding);
    this.scheduler.complete(step);
    const isAlone = step.type === 'decode' && ids.length === 1;
    if (step.type === 'decode' || step.complete) for (const id of ids) this.#sample(id, isAlone);
  }

  #sample(id: string, isAlone: boolean): void {
    const job = this.#jobs[Number(id)];
    const cached = this.#cached.get(id) ?? 0;
    const before = this.generated.get(id) ?? 0;
    const untilEnd = Math.min(job?.maxTokens ?? 0, job?.leavesAfter ?? Number.POSITIVE_INFINITY) - before - 1;
    const fitting = (PAGE_TOKENS - (cached % PAGE_TOKENS)) % PAGE_TOKENS;
    const drafted = isAlone ? Math.max(0, Math.min(job?.guessed ?? 0, fitting, untilEnd)) : 0;
    const count = before + drafted + 1;
    this.generated.set(id, count);
    this.#cached.set(id, cached + drafted);
    this.lengths.set(id, (this.lengths.get(id) ?? 0) + drafted + 1);
    if (job === undefined || count >= job.maxTokens || (job.leavesAfter !== undefined && count >= job.leavesAfter)) {
      this.scheduler.remove(id);
      this.#decoding.delete(id);
      this.finished.add(id);
      return;
    }
    this.#decoding.add(id);
    this.scheduler.append(id, drafted);
  }
}

describe('Scheduler', () => {
  it('computes every token of every request once known, in order, within memory, and ends', () => {
    fc.assert(
      fc.property(limits, jobs, (limitsOfRun, all) => {
        const simulation = new Simulation(limitsOfRun, all);
        simulation.run();
        for (const [i, { maxTokens, leavesAfter }] of all.entries()) {
          const expected = leavesAfter === undefined ? maxTokens : Math.min(maxTokens, Math.max(1, leavesAfter));
          expect(simulation.generated.get(`${i}`)).toBe(expected);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('never computes two chunks of prompts in a row while sequences decode', () => {
    fc.assert(
      fc.property(limits, jobs, (limitsOfRun, all) => {
        const simulation = new Simulation({ ...limitsOfRun, kvTokens: 5000 }, all); // nothing is put back
        simulation.run();
        for (const [i, { step, decoding }] of simulation.steps.entries()) {
          const before = simulation.steps[i - 1]?.step;
          if (step.type === 'prefill' && before?.type === 'prefill') expect(decoding).toBe(0);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('starts equal priorities in their order of arrival', () => {
    const scheduler = new Scheduler({ slots: 1, maxQueue: 10, kvTokens: 1000, prefillChunk: 64 });
    for (const id of ['a', 'b', 'c']) scheduler.add({ id, promptTokens: 10, priority: 0 });
    const order: string[] = [];
    for (let step = scheduler.next(); step !== undefined; step = scheduler.next()) {
      if (step.type !== 'prefill') throw new Error('each request ends after its prompt');
      order.push(step.id);
      scheduler.complete(step);
      scheduler.remove(step.id);
    }
    expect(order).toEqual(['a', 'b', 'c']);
  });

  it('serves lower priority numbers first, yet starves nobody', () => {
    const scheduler = new Scheduler({ slots: 1, maxQueue: 10, kvTokens: 1000, prefillChunk: 64 });
    scheduler.add({ id: 'patient', promptTokens: 10, priority: 5 });
    scheduler.add({ id: 'first', promptTokens: 10, priority: 0 });
    let served = '';
    let steps = 0;
    for (; served !== 'patient'; steps++) {
      scheduler.add({ id: `urgent-${steps}`, promptTokens: 10, priority: 0 }); // always somebody more urgent
      const step = scheduler.next();
      if (step?.type !== 'prefill') throw new Error('each request ends after its prompt');
      served = step.id;
      scheduler.complete(step);
      scheduler.remove(step.id);
      expect(steps).toBeLessThan(100);
    }
    expect(steps).toBeGreaterThan(10);
  });

  it('lets a short prompt pass a long one that is being computed', () => {
    const scheduler = new Scheduler({ slots: 2, maxQueue: 10, kvTokens: 5000, prefillChunk: 64 });
    scheduler.add({ id: 'long', promptTokens: 2000, priority: 0 });
    const begin = scheduler.next();
    if (begin !== undefined) scheduler.complete(begin);
    scheduler.add({ id: 'short', promptTokens: 20, priority: 0 });
    const steps = Array.from({ length: 2 }, () => {
      const step = scheduler.next();
      if (step !== undefined) scheduler.complete(step);
      return step;
    });
    expect(steps.some((step) => step?.type === 'prefill' && step.id === 'short' && step.complete)).toBe(true);
  });

  it('takes as many waiting requests as the queue holds', () => {
    const scheduler = new Scheduler({ slots: 1, maxQueue: 2, kvTokens: 1000, prefillChunk: 64 });
    const add = (id: string) => scheduler.add({ id, promptTokens: 5, priority: 0 });
    expect([add('a'), add('b')]).toEqual([true, true]);
    expect(add('c')).toBe(false);
    scheduler.next(); // one of them runs now
    expect([add('c'), add('d')]).toEqual([true, false]);
    scheduler.remove('b');
    expect(add('d')).toBe(true);
  });

  it('puts the least urgent sequence back when memory runs out, and finishes it later', () => {
    const all: Job[] = [
      { promptTokens: 100, maxTokens: 90, priority: 0, arrivesAt: 0, leavesAfter: undefined, guessed: 0 },
      { promptTokens: 100, maxTokens: 90, priority: 1, arrivesAt: 0, leavesAfter: undefined, guessed: 0 },
      { promptTokens: 100, maxTokens: 90, priority: 0, arrivesAt: 0, leavesAfter: undefined, guessed: 0 },
    ];
    const simulation = new Simulation({ slots: 3, maxQueue: 10, kvTokens: 6 * PAGE_TOKENS, prefillChunk: 64 }, all);
    simulation.run();
    expect(simulation.scheduler.preemptions).toBeGreaterThan(0);
    const again = simulation.steps.flatMap(({ step }) => (step.type === 'prefill' && step.from === 0 ? [step.id] : []));
    expect(again.filter((id) => id === '0')).toHaveLength(1); // the most urgent one was never put back
    expect(again.filter((id) => id === '1').length).toBeGreaterThan(1);
  });
});
