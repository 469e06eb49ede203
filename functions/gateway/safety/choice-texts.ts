import type { TokenDetail } from '../pipeline/generation-request.ts';
import type { OutputPart } from '../pipeline/output-parsers/output-part.ts';
import type { EarlyEnd, Released, TextStage } from './text-stages.ts';

/** A piece of one of the texts that a choice says. */
export type TextPart = Exclude<OutputPart, { readonly type: 'tool-call' }>;

/**
 * The texts of one choice on their way, each through stages of its own: the answer, the thoughts and each call's arguments. A text is over where
 * another begins, so that all come in the order in which they were said. Log-probabilities follow the text: tokens are shown when all that they
 * may belong to is out as it was said, and those of a piece that was replaced never are.
 */
export class ChoiceTexts {
  readonly #createStage: (part: TextPart) => TextStage;
  #open: { readonly part: TextPart; readonly stage: TextStage } | undefined;
  #waiting: TokenDetail[] = [];
  /** Since tokens were last shown. */
  #said = '';
  #released = '';
  /** Characters that the text is longer by than what was said. */
  #shift = 0;
  /** Why the choice ends here. */
  end: EarlyEnd | undefined;

  constructor(createStage: (part: TextPart) => TextStage) {
    this.#createStage = createStage;
  }

  async push(part: OutputPart): Promise<readonly OutputPart[]> {
    const before = this.#open !== undefined && isOther(this.#open.part, part) ? await this.flush() : [];
    if (this.end !== undefined) return before;
    if (part.type === 'tool-call') return [...before, part];
    this.#open ??= { part, stage: this.#createStage(part) };
    this.#said += part.text;
    return [...before, ...this.#release(this.#open.part, await this.#open.stage.push(part.text))];
  }

  /** The text is over: what was held. */
  async flush(): Promise<readonly OutputPart[]> {
    const open = this.#open;
    this.#open = undefined;
    return open === undefined || this.end !== undefined ? [] : this.#release(open.part, await open.stage.flush());
  }

  /** @param isOver no text follows */
  releaseTokens(tokens: readonly TokenDetail[], isOver: boolean): readonly TokenDetail[] {
    this.#waiting.push(...tokens);
    if (this.end === undefined && (this.#open?.stage.heldLength ?? 0) > 0) return [];
    const isAsSaid = this.end === undefined && this.#said === this.#released;
    const shift = this.#shift;
    // The text of a character that is not whole has not come: its tokens wait for it.
    const whole = isOver || this.end !== undefined ? this.#waiting.length : wholeCharacters(this.#waiting);
    const shown = isAsSaid ? this.#waiting.slice(0, whole).map((token) => ({ ...token, textOffset: token.textOffset + shift })) : [];
    this.#waiting = this.#waiting.slice(whole);
    if (!isAsSaid) this.#shift += [...this.#released].length - [...this.#said].length;
    this.#said = '';
    this.#released = '';
    return shown;
  }

  #release(part: TextPart, { text, end }: Released): readonly OutputPart[] {
    this.#released += text;
    this.end ??= end;
    return text === '' ? [] : [{ ...part, text }];
  }
}

function isOther(open: TextPart, next: OutputPart): boolean {
  return open.type !== next.type || (open.type === 'tool-arguments' && next.type === 'tool-arguments' && open.call !== next.call);
}

/** How many of the tokens end at the end of a character, as UTF-8 has it. */
function wholeCharacters(tokens: readonly TokenDetail[]): number {
  let whole = 0;
  let missing = 0;
  for (const [index, { bytes }] of tokens.entries()) {
    for (const byte of bytes) {
      if (byte >= 0xc0) missing = byte >= 0xf0 ? 3 : byte >= 0xe0 ? 2 : 1;
      else missing = byte >= 0x80 ? Math.max(missing - 1, 0) : 0;
    }
    if (missing === 0) whole = index + 1;
  }
  return whole;
}
