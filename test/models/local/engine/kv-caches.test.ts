import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { WINDOW_TOKENS } from '../../../../models/local/convert/add-attention.ts';
import { costOf, groupSequences } from '../../../../models/local/engine/group-sequences.ts';
import { type Batch, KvCaches } from '../../../../models/local/engine/kv-caches.ts';
import { bucketFor, completeWindows, KvPool } from '../../../../models/local/engine/kv-pool.ts';

const SHAPE = { blocks: 1, kvHeads: 2, headSize: 1 };
const SLOTS = 5;
const CALL_COST = 300;
const ROWS_OF_POSITION = 2 * SHAPE.blocks * SHAPE.kvHeads;

type Action =
  | { readonly type: 'open'; readonly prompt: number; readonly shared: number }
  | { readonly type: 'prefill'; readonly which: number; readonly count: number }
  | { readonly type: 'decode' }
  | { readonly type: 'close'; readonly which: number };
const which = fc.nat(100);
const actions = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ type: fc.constant('open' as const), prompt: fc.integer({ min: 1, max: 700 }), shared: fc.nat(9) }),
    },
    { weight: 8, arbitrary: fc.record({ type: fc.constant('prefill' as const), which, count: fc.integer({ min: 1, max: 64 }) }) },
    { weight: 8, arbitrary: fc.record({ type: fc.constant('decode' as const) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant('close' as const), which }) },
  ),
  { minLength: 1, maxLength: 100, size: 'max' },
);

/** The value in each row names its sequence, the position and the row; float16 holds whole numbers up to 2,048, so it stays below. */
const rowValue = (id: string, position: number, row: number) => ((Number(id) * 397 + position * 5 + row) % 2047) + 1;

/** Plays the engine, and looks at what the graph would be given. */
class Simulation {
  readonly caches = new KvCaches(() => new KvPool(SHAPE, SLOTS, 'float16'), CALL_COST);
  /** By id: the prompt's length and how many positions are computed. */
  readonly running = new Map<string, { prompt: number; computed: number }>();
  #count = 0;

  act(action: Action): void {
    switch (action.type) {
      case 'open':
        if (this.running.size < SLOTS) this.#open(action.prompt, action.shared);
        break;
      case 'prefill': {
        const open = [...this.running].filter(([, { prompt, computed }]) => computed < prompt);
        const [id, state] = open[action.which % open.length] ?? [];
        if (id === undefined || state === undefined) break;
        const count = Math.min(action.count, WINDOW_TOKENS - (state.computed % WINDOW_TOKENS), state.prompt - state.computed);
        const batch = this.caches.promptBatch(id);
        expect(batch.ids).toEqual([id]);
        this.#compute(batch, count);
        break;
      }
      case 'decode': {
        const ids = [...this.running].filter(([, { prompt, computed }]) => computed >= prompt).map(([id]) => id);
        const batches = this.caches.decodeBatches(ids);
        expect(batches.flatMap((batch) => batch.ids).toSorted()).toEqual(ids.toSorted());
        for (const batch of batches) this.#compute(batch, 1);
        break;
      }
      case 'close': {
        const id = [...this.running.keys()][action.which % this.running.size];
        if (id === undefined) break;
        this.caches.close(id);
        this.running.delete(id);
      }
    }
  }

  #open(prompt: number, shared: number): void {
    const id = `${this.#count++}`;
    this.caches.open(id, prompt);
    const windows = Math.min(shared, Math.floor((prompt - 1) / WINDOW_TOKENS));
    if (windows > 0) this.caches.restore(id, windows, (window) => this.windowOf(id, window));
    this.running.set(id, { prompt, computed: windows * WINDOW_TOKENS });
  }

  /** Checks the tensors of a batch, and adds positions to its sequences. */
  #compute(batch: Batch, newTokens: number): void {
    const { past, window } = batch.pool.tensors(batch.firstSlot, batch.ids.length);
    const newRows = new Float32Array(batch.ids.length * ROWS_OF_POSITION * newTokens);
    for (const [i, id] of batch.ids.entries()) {
      const { computed } = this.#find(id);
      expect(this.caches.length(id)).toBe(computed);
      expect(batch.pool.capacity).toBeGreaterThanOrEqual(completeWindows(computed));
      for (let row = 0; row < ROWS_OF_POSITION; row++) {
        const [array, head] = [Math.floor(row / SHAPE.kvHeads), row % SHAPE.kvHeads];
        const values = (from: number, to: number) => Array.from({ length: to - from }, (_, k) => rowValue(id, from + k, row));
        const start = (i * SHAPE.kvHeads + head) * batch.pool.capacity;
        const halves = new Float16Array(Uint16Array.from((past[array]?.data ?? []) as Uint16Array).buffer); // bits of float16, see KvPool
        expect([...halves.subarray(start, start + completeWindows(computed))]).toEqual(values(0, completeWindows(computed)));
        const startOfWindow = (i * SHAPE.kvHeads + head) * WINDOW_TOKENS;
        const near = ((window[array]?.data ?? []) as Float32Array).slice(startOfWindow, startOfWindow + WINDOW_TOKENS); // the pool makes it one
        const inWindow = computed % WINDOW_TOKENS;
        expect([...near]).toEqual([...values(computed - inWindow, computed), ...new Array<number>(WINDOW_TOKENS - inWindow).fill(0)]);
        newRows.set(values(computed, computed + newTokens), (i * ROWS_OF_POSITION + row) * newTokens);
      }
    }
    this.caches.append(batch, newRows, newTokens);
    for (const id of batch.ids) this.#find(id).computed += newTokens;
  }

  /** As `KvPool.readWindow` gives it. */
  windowOf(id: string, window: number): Uint16Array {
    const values = Array.from({ length: ROWS_OF_POSITION * WINDOW_TOKENS }, (_, i) =>
      rowValue(id, window * WINDOW_TOKENS + (i % WINDOW_TOKENS), Math.floor(i / WINDOW_TOKENS)),
    );
    return new Uint16Array(Float16Array.from(values).buffer);
  }

  #find(id: string): { prompt: number; computed: number } {
    const found = this.running.get(id);
    if (found === undefined) throw new Error(`a batch has the unknown sequence ${id}`);
    return found;
  }
}

describe('KvCaches', () => {
  it('gives the graph the rows of each sequence, wherever it was moved, and every decoding one in one batch', () => {
    fc.assert(
      fc.property(actions, (all) => {
        const simulation = new Simulation();
        for (const action of all) {
          simulation.act(action);
          for (const [id, { computed }] of simulation.running) {
            for (let window = 0; window < Math.floor(computed / WINDOW_TOKENS); window++) {
              expect(simulation.caches.readWindow(id, window)).toEqual(simulation.windowOf(id, window));
            }
          }
        }
      }),
      { numRuns: 25 },
    );
  });

  /** Sequences of these lengths that decode, begun in this order. */
  const decoding = (lengths: readonly number[]) => {
    const simulation = new Simulation();
    for (const [i, prompt] of lengths.entries()) {
      simulation.act({ type: 'open', prompt, shared: 0 });
      while ((simulation.running.get(`${i}`)?.computed ?? 0) < prompt) simulation.act({ type: 'prefill', which: 0, count: 64 });
    }
    const ids = lengths.map((_, i) => `${i}`);
    return { simulation, batches: () => simulation.caches.decodeBatches(ids) };
  };

  it('costs at most half a call more than the cheapest groups', () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: SLOTS });
    fc.assert(
      fc.property(lengths, (all) => {
        const needs = all.map((length, i) => ({ id: `${i}`, positions: bucketFor(completeWindows(length)) }));
        const groups = decoding(all)
          .batches()
          .map(({ ids }) => needs.filter(({ id }) => ids.includes(id)));
        expect(costOf(groups, CALL_COST)).toBeLessThanOrEqual(costOf(groupSequences(needs, CALL_COST), CALL_COST) + CALL_COST / 2);
      }),
      { numRuns: 40 },
    );
  });

  it('lays out no more for short sequences because a long one runs beside them', () => {
    const { batches } = decoding([70, 80, 1000, 90]);
    const laidOut = batches().map(({ ids, pool }) => [ids.length, pool.capacity]);
    expect(laidOut.toSorted(([a = 0], [b = 0]) => a - b)).toEqual([
      [1, 1024],
      [3, 64],
    ]);
  });

  it('computes sequences together again when the long one is gone', () => {
    const { simulation, batches } = decoding([70, 80, 1000, 90]);
    expect(batches()).toHaveLength(2);
    simulation.caches.close('2');
    expect(simulation.caches.decodeBatches(['0', '1', '3'])).toMatchObject([{ firstSlot: 0, pool: { capacity: 64 } }]);
  });

  it('refuses a sequence that is not open', () => {
    const { caches } = new Simulation();
    expect(() => caches.promptBatch('x')).toThrow('no sequence x');
    expect(caches.length('x')).toBe(0);
    caches.close('x');
  });
});
