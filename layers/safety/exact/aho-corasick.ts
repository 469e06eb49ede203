/**
 * Aho and Corasick's automaton (1975) over code points. One state is the longest suffix of the text that begins a pattern; its depth is
 * what must be held back, because nothing before it can still become part of a match.
 */
export class AhoCorasick {
  readonly #trie = new Trie();
  /** Codes that begin a pattern, those of ASCII by themselves: they are asked for at nearly every character. */
  readonly #firstCodes = new Set<number>();
  readonly #firstAscii = new Uint8Array(128);
  readonly #failure: number[] = [0];
  readonly #depth: number[] = [0];
  /** Pattern that ends in the state, -1 for none; and the nearest state along the failures that ends one. */
  readonly #pattern: number[] = [-1];
  readonly #outputLink: number[] = [0];

  constructor(patterns: readonly (readonly number[])[]) {
    patterns.forEach((codes, pattern) => {
      if (codes[0] === undefined) return;
      this.#firstCodes.add(codes[0]);
      if (codes[0] < 128) this.#firstAscii[codes[0]] = 1;
      this.#insert(codes, pattern);
    });
    this.#link();
  }

  get isEmpty(): boolean {
    return this.#depth.length === 1;
  }

  /** State after `code`. Starts from 0. */
  step(state: number, code: number): number {
    return state === 0 && !this.#mayBegin(code) ? 0 : this.#follow(state, code);
  }

  /** Length of the suffix that the state stands for. */
  depth(state: number): number {
    return this.#depth[state] ?? 0;
  }

  /** Whether a pattern ends in the state. */
  hasMatch(state: number): boolean {
    return (this.#pattern[state] ?? -1) >= 0 || (this.#outputLink[state] ?? 0) !== 0;
  }

  /** Calls `visit` with every pattern that ends in the state, longest first. */
  visitMatches(state: number, visit: (pattern: number) => void): void {
    for (let at = state; at !== 0; at = this.#outputLink[at] ?? 0) {
      const pattern = this.#pattern[at] ?? -1;
      if (pattern >= 0) visit(pattern);
    }
  }

  /** Most of a text begins no pattern. */
  #mayBegin(code: number): boolean {
    return code < 128 ? this.#firstAscii[code] === 1 : this.#firstCodes.has(code);
  }

  #follow(state: number, code: number): number {
    for (let from = state; ; from = this.#failure[from] ?? 0) {
      const to = this.#trie.find(from, code);
      if (to !== 0 || from === 0) return to;
    }
  }

  #insert(codes: readonly number[], pattern: number): void {
    let state = 0;
    for (const code of codes) {
      let to = this.#trie.find(state, code);
      if (to === 0) {
        to = this.#trie.add(state, code);
        this.#depth.push((this.#depth[state] ?? 0) + 1);
        this.#failure.push(0);
        this.#pattern.push(-1);
        this.#outputLink.push(0);
      }
      state = to;
    }
    // Of equal patterns the first is the one that is reported.
    if ((this.#pattern[state] ?? -1) < 0) this.#pattern[state] = pattern;
  }

  /** Breadth first, which the insertion order is not: states are visited by their depth. */
  #link(): void {
    const states = Int32Array.from(this.#depth.keys()).subarray(1);
    states.sort((a, b) => (this.#depth[a] ?? 0) - (this.#depth[b] ?? 0));
    for (const state of states) {
      const parent = this.#trie.parentOf(state);
      const failure = parent === 0 ? 0 : this.#follow(this.#failure[parent] ?? 0, this.#trie.codeOf(state));
      this.#failure[state] = failure;
      this.#outputLink[state] = (this.#pattern[failure] ?? -1) >= 0 ? failure : (this.#outputLink[failure] ?? 0);
    }
  }
}

/** States by their parent and the code that leads from it: a hash table of whole numbers with open addressing, at most half full. */
class Trie {
  readonly #parents: number[] = [0];
  readonly #codes: number[] = [0];
  /** The state of each place; 0, to which nothing leads, where it is empty. */
  #places = new Int32Array(16);

  /** 0 when there is none. */
  find(parent: number, code: number): number {
    return this.#places[this.#placeOf(parent, code)] ?? 0;
  }

  /** The new state: one more than the last. */
  add(parent: number, code: number): number {
    const state = this.#parents.length;
    this.#parents.push(parent);
    this.#codes.push(code);
    if (2 * state > this.#places.length) this.#grow();
    else this.#places[this.#placeOf(parent, code)] = state;
    return state;
  }

  parentOf(state: number): number {
    return this.#parents[state] ?? 0;
  }
  codeOf(state: number): number {
    return this.#codes[state] ?? 0;
  }

  /** Where the state is, or the empty place where it belongs. */
  #placeOf(parent: number, code: number): number {
    const mask = this.#places.length - 1;
    const hash = Math.imul(Math.imul(parent, 0x9e3779b1) ^ code, 0x85ebca6b);
    let place = (hash ^ (hash >>> 15)) & mask;
    for (let state = this.#places[place] ?? 0; state !== 0; state = this.#places[place] ?? 0) {
      if (this.#parents[state] === parent && this.#codes[state] === code) return place;
      place = (place + 1) & mask;
    }
    return place;
  }

  #grow(): void {
    this.#places = new Int32Array(2 * this.#places.length);
    for (let state = 1; state < this.#parents.length; state += 1)
      this.#places[this.#placeOf(this.parentOf(state), this.codeOf(state))] = state;
  }
}
