/**
 * Aho and Corasick's automaton (1975) over code points. One state is the longest suffix of the text that begins a pattern; its depth is
 * what must be held back, because nothing before it can still become part of a match.
 */
export class AhoCorasick {
  /** Transitions, keyed by state x 2^21 + code point. */
  readonly #next = new Map<number, number>();
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
    return this.#next.size === 0;
  }

  /** State after `code`. Starts from 0. */
  step(state: number, code: number): number {
    // Most of a text begins no pattern.
    if (state === 0 && !(code < 128 ? this.#firstAscii[code] === 1 : this.#firstCodes.has(code))) return 0;
    for (let from = state; ; from = this.#failure[from] ?? 0) {
      const to = this.#next.get(from * 0x200000 + code);
      if (to !== undefined) return to;
      if (from === 0) return 0;
    }
  }

  /** Length of the suffix that the state stands for. */
  depth(state: number): number {
    return this.#depth[state] ?? 0;
  }

  /** Calls `visit` with every pattern that ends in the state, longest first. */
  visitMatches(state: number, visit: (pattern: number) => void): void {
    for (let at = state; at !== 0; at = this.#outputLink[at] ?? 0) {
      const pattern = this.#pattern[at] ?? -1;
      if (pattern >= 0) visit(pattern);
    }
  }

  #insert(codes: readonly number[], pattern: number): void {
    let state = 0;
    for (const code of codes) {
      const key = state * 0x200000 + code;
      let to = this.#next.get(key);
      if (to === undefined) {
        to = this.#depth.length;
        this.#next.set(key, to);
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

  /** Breadth first, which the insertion order of a map does not give: states are visited by their depth. */
  #link(): void {
    const edges = [...this.#next].sort((a, b) => (this.#depth[a[1]] ?? 0) - (this.#depth[b[1]] ?? 0));
    for (const [key, to] of edges) {
      const from = Math.floor(key / 0x200000);
      const failure = from === 0 ? 0 : this.step(this.#failure[from] ?? 0, key % 0x200000);
      this.#failure[to] = failure;
      this.#outputLink[to] = (this.#pattern[failure] ?? -1) >= 0 ? failure : (this.#outputLink[failure] ?? 0);
    }
  }
}
