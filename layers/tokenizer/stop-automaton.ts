/**
 * Aho-Corasick over UTF-16 code units: finds the earliest end of any stop string in one pass over the text, however it is cut.
 * After Aho and Corasick, "Efficient string matching" (CACM 1975).
 */
interface State {
  readonly next: Map<number, State>;
  /** Code units from the root: the longest suffix of the text that begins a stop string. */
  readonly depth: number;
  fail: State | undefined;
  /** Length of the longest stop string that ends here; 0 when none does. */
  matchLength: number;
}

export class StopAutomaton {
  readonly #root: State = { next: new Map(), depth: 0, fail: undefined, matchLength: 0 };
  #state = this.#root;

  /** @throws {RangeError} an empty stop string, which would end every text at once. */
  constructor(stops: readonly string[]) {
    for (const stop of stops) {
      if (stop === '') throw new RangeError('A stop string must have at least one character.');
      let state = this.#root;
      const text = stop.toWellFormed();
      for (let at = 0; at < text.length; at++) {
        const unit = text.charCodeAt(at);
        let next = state.next.get(unit);
        if (next === undefined) {
          next = { next: new Map(), depth: state.depth + 1, fail: undefined, matchLength: 0 };
          state.next.set(unit, next);
        }
        state = next;
      }
      state.matchLength = text.length;
    }
    this.#link();
  }

  #link(): void {
    const queue: State[] = [];
    for (const state of this.#root.next.values()) {
      state.fail = this.#root;
      queue.push(state);
    }
    for (const state of queue) {
      for (const [unit, next] of state.next) {
        next.fail = this.#follow(state.fail ?? this.#root, unit);
        // The state's own stop string is longer than any that ends here by its fail link.
        if (next.matchLength === 0) next.matchLength = next.fail.matchLength;
        queue.push(next);
      }
    }
  }

  #follow(from: State, unit: number): State {
    for (let state: State | undefined = from; state !== undefined; state = state.fail) {
      const next = state.next.get(unit);
      if (next !== undefined) return next;
    }
    return this.#root;
  }

  /** Code units at the end of the text so far that may be the beginning of a stop string. */
  get held(): number {
    return this.#state.depth;
  }

  /** Reads one code unit. @returns the length of the longest stop string that ends with it, or 0. */
  read(unit: number): number {
    this.#state = this.#follow(this.#state, unit);
    return this.#state.matchLength;
  }
}
