/**
 * Keys and values of the running sequences, in one pool for each group that is computed together (`group-sequences.ts`). In a pool, decoding
 * sequences fill the slots from the first without a gap, so that they are one batch; prompts fill them from the last. Sequences move to
 * another pool when that saves more than half a call of the graph in each step, so that they do not move to and fro.
 */
import { WINDOW_TOKENS } from '../convert/add-attention.ts';
import { costOf, groupSequences, type Need } from './group-sequences.ts';
import { bucketFor, completeWindows, type KvPool } from './kv-pool.ts';
import type { WindowRows } from './prefix-cache.ts';

/** Sequences in neighbouring slots of one pool. */
export interface Batch {
  readonly pool: KvPool;
  readonly firstSlot: number;
  readonly ids: readonly string[];
}

interface Group {
  readonly pool: KvPool;
  /** The sequence in slot i. */
  readonly decoding: string[];
  /** The sequence in slot `slots - 1 - i`. */
  readonly prefilling: string[];
}

interface Sequence {
  group: Group;
  /** Positions that its cache holds. */
  length: number;
  /** How many it will hold at least. */
  readonly knownTokens: number;
}

export class KvCaches {
  readonly #createPool: () => KvPool;
  readonly #callCost: number;
  readonly #groups: Group[] = [];
  readonly #sequences = new Map<string, Sequence>();

  /** @param createPool with a slot for each sequence that may run. @param callCost see `positionsOfCall`. */
  constructor(createPool: () => KvPool, callCost: number) {
    this.#createPool = createPool;
    this.#callCost = callCost;
  }

  /** Begins a sequence, of which so many tokens are known. If its id was begun before, that is forgotten. */
  open(id: string, knownTokens: number): void {
    this.close(id);
    const group = this.#groupFor({ id, positions: bucketFor(completeWindows(knownTokens)) });
    this.#sequences.set(id, { group, length: 0, knownTokens });
    group.prefilling.push(id);
    group.pool.open(slotOf(group, id));
  }

  /** Unknown ids are ignored. */
  close(id: string): void {
    const sequence = this.#sequences.get(id);
    if (sequence === undefined) return;
    this.#vacate(sequence.group, id);
    this.#sequences.delete(id);
    this.#dropEmptyGroups();
  }

  /** How many positions a sequence holds; none if it is not open. */
  length(id: string): number {
    return this.#sequences.get(id)?.length ?? 0;
  }

  /** What computes a prompt's next tokens. */
  promptBatch(id: string): Batch {
    const { group } = this.#find(id);
    this.#fit(group);
    return { pool: group.pool, firstSlot: slotOf(group, id), ids: [id] };
  }

  /** What computes a decode step of these sequences, which are all that have no prompt left. */
  decodeBatches(ids: readonly string[]): Batch[] {
    for (const id of ids) this.#promote(id);
    this.#regroup();
    const filled = this.#groups.filter(({ decoding }) => decoding.length > 0);
    for (const group of filled) this.#fit(group);
    return filled.map(({ pool, decoding }) => ({ pool, firstSlot: 0, ids: [...decoding] }));
  }

  /** Adds the rows that the graph put out for a batch, the same number for each sequence, or the first `kept` of them. See `KvPool.write`. */
  append({ pool, firstSlot, ids }: Batch, newRows: Float32Array, newTokens: number, kept = newTokens): void {
    const sequences = ids.map((id) => this.#find(id));
    for (const sequence of sequences) sequence.length += kept;
    const [first] = sequences; // all are of one group
    if (first !== undefined) this.#fit(first.group); // now: the step should not pay for windows that it only completes
    for (const [i, { length }] of sequences.entries()) pool.write(firstSlot + i, length - kept, newRows, i, newTokens, kept);
  }

  readWindow(id: string, window: number): WindowRows {
    const { group } = this.#find(id);
    return group.pool.readWindow(slotOf(group, id), window);
  }

  /** Puts complete windows at the beginning of a sequence that holds nothing yet. */
  restore(id: string, windows: number, read: (window: number) => WindowRows): void {
    const sequence = this.#find(id);
    const { group } = sequence;
    sequence.length = windows * WINDOW_TOKENS;
    this.#fit(group);
    for (let window = 0; window < windows; window++) group.pool.writeWindow(slotOf(group, id), window, read(window));
  }

  /** Rows that hold NaN must not stay, see `KvPool.clear`. */
  clear(id: string): void {
    const { group } = this.#find(id);
    group.pool.clear(slotOf(group, id));
  }

  #find(id: string): Sequence {
    const found = this.#sequences.get(id);
    if (found === undefined) throw new Error(`no sequence ${id} has caches`);
    return found;
  }

  #needsOf({ decoding, prefilling }: Group): Need[] {
    return [...decoding, ...prefilling].map((id) => {
      const { length, knownTokens } = this.#find(id);
      return { id, positions: bucketFor(completeWindows(Math.max(length, knownTokens))) };
    });
  }

  /** Where one more sequence costs least. */
  #groupFor(need: Need): Group {
    const choices = this.#groups.map((group) => {
      const needs = this.#needsOf(group);
      const before = needs.length === 0 ? 0 : costOf([needs], this.#callCost);
      return { group, more: costOf([[...needs, need]], this.#callCost) - before };
    });
    const [best] = choices.toSorted((a, b) => a.more - b.more);
    return best === undefined || best.more > costOf([[need]], this.#callCost) ? this.#createGroup() : best.group;
  }

  #regroup(): void {
    const current = this.#groups.filter((group) => !isEmpty(group)).map((group) => this.#needsOf(group));
    const wanted = groupSequences(current.flat(), this.#callCost);
    if (costOf(current, this.#callCost) - costOf(wanted, this.#callCost) <= this.#callCost / 2) return;
    const untaken = new Set(this.#groups);
    for (const needs of wanted) {
      const there = (group: Group) => needs.filter(({ id }) => this.#find(id).group === group).length;
      const [nearest] = [...untaken].toSorted((a, b) => there(b) - there(a));
      const target = nearest ?? this.#createGroup();
      untaken.delete(target);
      for (const { id } of needs) this.#transfer(id, target);
    }
    this.#dropEmptyGroups();
  }

  #createGroup(): Group {
    const group = { pool: this.#createPool(), decoding: [], prefilling: [] };
    this.#groups.push(group);
    return group;
  }

  /** One stays for the next sequence. */
  #dropEmptyGroups(): void {
    for (const group of this.#groups.filter(isEmpty)) {
      if (this.#groups.length === 1) return;
      this.#groups.splice(this.#groups.indexOf(group), 1);
      group.pool.release();
    }
  }

  /** The pool follows its longest sequence up at once, and down when it is gone. */
  #fit({ pool, decoding, prefilling }: Group): void {
    const lengths = new Array<number>(pool.slots).fill(0);
    for (const [i, id] of decoding.entries()) lengths[i] = this.length(id);
    for (const [i, id] of prefilling.entries()) lengths[pool.slots - 1 - i] = this.length(id);
    const needed = bucketFor(completeWindows(Math.max(...lengths)));
    if (needed > pool.capacity || needed <= pool.capacity / 2) pool.resize(needed, lengths);
  }

  /** A sequence without a prompt left joins the decoding ones of its pool. */
  #promote(id: string): void {
    const { group, length } = this.#find(id);
    const { pool, decoding, prefilling } = group;
    const last = prefilling.at(-1);
    if (last === undefined || !prefilling.includes(id)) return;
    // In a full pool its new slot is that of the last prompt: they change places first.
    if (last !== id) {
      pool.swap(slotOf(group, id), slotOf(group, last), Math.max(length, this.length(last)));
      prefilling[prefilling.indexOf(id)] = last;
    }
    pool.copy(pool, pool.slots - prefilling.length, decoding.length, length);
    prefilling.pop();
    decoding.push(id);
  }

  #transfer(id: string, target: Group): void {
    const sequence = this.#find(id);
    const source = sequence.group;
    if (source === target) return;
    const from = slotOf(source, id);
    const list = source.decoding.includes(id) ? target.decoding : target.prefilling;
    list.push(id); // a pool has a slot for each sequence, so the next one of either list is free
    this.#fit(target);
    target.pool.copy(source.pool, from, slotOf(target, id), sequence.length);
    this.#vacate(source, id);
    sequence.group = target;
  }

  /** The last of its list takes its slot. */
  #vacate(group: Group, id: string): void {
    const list = group.decoding.includes(id) ? group.decoding : group.prefilling;
    const last = list.at(-1);
    if (last === undefined) return;
    if (last !== id) {
      group.pool.copy(group.pool, slotOf(group, last), slotOf(group, id), this.length(last));
      list[list.indexOf(id)] = last;
    }
    list.pop();
  }
}

function isEmpty({ decoding, prefilling }: Group): boolean {
  return decoding.length + prefilling.length === 0;
}

function slotOf({ pool, decoding, prefilling }: Group, id: string): number {
  const slot = decoding.indexOf(id);
  return slot >= 0 ? slot : pool.slots - 1 - prefilling.indexOf(id);
}
