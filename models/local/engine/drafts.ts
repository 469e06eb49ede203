/**
 * Speculative decoding (Leviathan et al., 2023) by prompt lookup (Saxena, 2023; vLLM's method "ngram"): when the last tokens were there
 * before, what followed them then is guessed to follow again and computed beside the next token. A guess costs a fraction of a step and is kept
 * only where sampling gives it. Logits do not depend on how a sequence is cut into steps, nor draws on anything but seed and position, so
 * guesses change how soon tokens come, not which.
 */
import { WINDOW_TOKENS } from '../convert/add-attention.ts';
import type { RunningRequest } from './engine-request.ts';

/** Tokens that must have been there before, at least, and the most that are compared. */
const LEAST_EQUAL = 2;
const MOST_EQUAL = 6;

/** What one more token adds to a step of one token, as a share of it: 0.15 to 0.2 on SmolLM2, with one thread and with two. */
const COST_OF_TOKEN = 0.17;
/** How much the last guess counts in the rate of right ones. */
const WEIGHT = 0.1;
const FIRST_RATE = 0.5;
/** Where nothing was guessed, the rate returns to the first one by this share, so that guessing is tried again. */
const RETURN = 0.01;

/**
 * @returns up to `most` tokens that followed the latest place where the sequence was most like its end, compared over 2 to 6 tokens; none if it
 *   was nowhere.
 */
export function lookUp(tokenIds: readonly number[], most: number): readonly number[] {
  let longest = LEAST_EQUAL - 1;
  let found = 0;
  for (let end = tokenIds.length - 1; end > longest && longest < MOST_EQUAL; end--) {
    let equal = 0;
    while (equal < MOST_EQUAL && equal < end && tokenIds[end - 1 - equal] === tokenIds[tokenIds.length - 1 - equal]) equal++;
    if (equal <= longest) continue;
    longest = equal;
    found = end;
  }
  return found === 0 ? [] : tokenIds.slice(found, found + most);
}

/** How many tokens to guess for one sequence, by how often guesses were right. */
export class DraftLength {
  #rate = FIRST_RATE;

  /** With each guess right at the present rate, the k-th one is kept with rate^k: as many as are worth their cost. */
  get tokens(): number {
    return Math.floor(Math.log(COST_OF_TOKEN) / Math.log(this.#rate));
  }

  /** Of `drafted` tokens the first `right` were right. The one after was wrong; those behind it say nothing. */
  learn(drafted: number, right: number): void {
    if (drafted === 0) this.#rate += RETURN * (FIRST_RATE - this.#rate);
    for (let i = 0; i < Math.min(drafted, right + 1); i++) this.#rate += WEIGHT * (Number(i < right) - this.#rate);
  }
}

/** Guesses for sequences that decode alone; beside others every core is busy without them. */
export class Drafts {
  readonly #most: number;
  #count = 0;
  #tokens = 0;
  #accepted = 0;

  /** @param most tokens that are guessed in one step; 0 guesses none. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Steps that had guesses, what was guessed in them, and what of that was right. */
  get counts(): { drafts: number; draftTokens: number; acceptedTokens: number } {
    return { drafts: this.#count, draftTokens: this.#tokens, acceptedTokens: this.#accepted };
  }

  /** What may follow the tokens of a request whose cache holds all but the last. */
  propose({ request, tokenIds, draftLength }: RunningRequest): readonly number[] {
    const untilEnd = request.promptTokenIds.length + request.maxTokens - tokenIds.length - 1;
    const untilNextWindow = WINDOW_TOKENS - 1 - ((tokenIds.length - 1) % WINDOW_TOKENS); // the new tokens of a call lie in one
    const most = Math.min(this.#most, draftLength.tokens, untilEnd, untilNextWindow);
    return most <= 0 ? [] : lookUp(tokenIds, most);
  }

  /** Takes in what became of a proposal. */
  learn({ draftLength }: RunningRequest, drafted: number, right: number): void {
    draftLength.learn(drafted, right);
    if (drafted === 0) return;
    this.#count++;
    this.#tokens += drafted;
    this.#accepted += right;
  }
}
