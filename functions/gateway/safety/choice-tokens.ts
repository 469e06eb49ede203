import type { TokenDetail } from '../pipeline/generation-request.ts';
import type { Released, TextStage } from './text-stages.ts';

/**
 * The tokens of one choice, as log-probabilities show them. They spell the answer out, markup and all, and come before their text where that waits
 * for a stop sequence or for the end of a call; so what they spell goes through stages of its own. Tokens are shown when what they spell is out as
 * it was said; those of a piece that was replaced never are.
 */
export class ChoiceTokens {
  readonly #stage: TextStage;
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true });
  #waiting: TokenDetail[] = [];
  /** Bytes that the last character lacks. */
  #missing = 0;
  /** Since tokens were last decided. */
  #said = '';
  #released = '';
  /** Characters that the text is longer by than what was said. */
  #shift = 0;
  #isEnded = false;

  constructor(stage: TextStage) {
    this.#stage = stage;
  }

  /** Those that may be shown now. */
  async push(tokens: readonly TokenDetail[]): Promise<readonly TokenDetail[]> {
    const shown: TokenDetail[] = [];
    for (const token of tokens) {
      this.#waiting.push(token);
      for (const byte of token.bytes) this.#missing = missingAfter(byte, this.#missing);
      const text = this.#utf8.decode(token.bytes, { stream: true });
      this.#said += text;
      if (text !== '' && !this.#isEnded) this.#take(await this.#stage.push(text));
      if (this.#missing === 0 && this.#stage.heldLength === 0) shown.push(...this.#decide());
    }
    return shown;
  }

  /** No token follows. */
  async flush(): Promise<readonly TokenDetail[]> {
    if (!this.#isEnded) this.#take(await this.#stage.flush());
    return this.#decide();
  }

  #take({ text, end }: Released): void {
    this.#released += text;
    this.#isEnded ||= end !== undefined;
  }

  #decide(): readonly TokenDetail[] {
    const tokens = this.#waiting;
    const shift = this.#shift;
    const isAsSaid = !this.#isEnded && this.#said === this.#released;
    if (!isAsSaid) this.#shift += [...this.#released].length - [...this.#said].length;
    this.#waiting = [];
    this.#said = '';
    this.#released = '';
    return isAsSaid ? tokens.map((token) => ({ ...token, textOffset: token.textOffset + shift })) : [];
  }
}

/** As UTF-8 has it. */
function missingAfter(byte: number, missing: number): number {
  if (byte >= 0xc0) return byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
  return byte >= 0x80 ? Math.max(missing - 1, 0) : 0;
}
