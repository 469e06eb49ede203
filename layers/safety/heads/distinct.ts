/** A set of whole numbers below `size` that is emptied at once, thousands of times a second: each number has the round that last saw it. */
export class Distinct {
  readonly #lastRounds: Uint16Array;
  #round = 1;

  constructor(size: number) {
    this.#lastRounds = new Uint16Array(size);
  }

  clear(): void {
    this.#round = (this.#round + 1) & 0xffff;
    if (this.#round > 0) return;
    this.#lastRounds.fill(0);
    this.#round = 1;
  }

  /** Whether the number was not in the set. */
  add(value: number): boolean {
    if (this.#lastRounds[value] === this.#round) return false;
    this.#lastRounds[value] = this.#round;
    return true;
  }
}
