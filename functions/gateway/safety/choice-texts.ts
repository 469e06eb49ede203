import type { TokenDetail } from '../pipeline/generation-request.ts';
import type { OutputPart } from '../pipeline/output-parsers/output-part.ts';
import type { EarlyEnd, TextStage } from './text-stages.ts';

/** A piece of one of the texts that a choice says. */
export type TextPart = Exclude<OutputPart, { readonly type: 'tool-call' }>;

interface PassingText {
  /** Names the text that goes on, whatever it says. */
  readonly part: TextPart;
  readonly stage: TextStage;
  said: string;
  released: string;
}

/**
 * The texts of one choice on their way through a stage each: the answer, the thoughts and each call's arguments. Log-probabilities follow the
 * text: tokens are shown when all that they may belong to is out as it was said, and those of a piece that was replaced never are.
 */
export class ChoiceTexts {
  readonly #createStage: (part: TextPart) => TextStage;
  readonly #texts = new Map<string, PassingText>();
  #waiting: TokenDetail[] = [];
  /** Characters that the text is longer by than what was said. */
  #shift = 0;
  /** Why the choice ends here. */
  end: EarlyEnd | undefined;

  constructor(createStage: (part: TextPart) => TextStage) {
    this.#createStage = createStage;
  }

  async push(part: OutputPart): Promise<readonly OutputPart[]> {
    if (this.end !== undefined) return [];
    if (part.type === 'tool-call') return [part];
    const name = part.type === 'tool-arguments' ? `call ${part.call}` : part.type;
    const text = this.#texts.get(name) ?? { part, stage: this.#createStage(part), said: '', released: '' };
    this.#texts.set(name, text);
    text.said += part.text;
    return this.#release(text, await text.stage.push(part.text));
  }

  async flush(): Promise<readonly OutputPart[]> {
    const parts: OutputPart[] = [];
    for (const text of this.#texts.values()) if (this.end === undefined) parts.push(...this.#release(text, await text.stage.flush()));
    return parts;
  }

  /** @param isOver no text follows */
  releaseTokens(tokens: readonly TokenDetail[], isOver: boolean): readonly TokenDetail[] {
    this.#waiting.push(...tokens);
    const texts = [...this.#texts.values()];
    if (this.end === undefined && texts.some((text) => text.stage.heldLength > 0)) return [];
    const isAsSaid = this.end === undefined && texts.every((text) => text.said === text.released);
    const shift = this.#shift;
    // The text of a character that is not whole has not come: its tokens wait for it.
    const whole = isOver || this.end !== undefined ? this.#waiting.length : wholeCharacters(this.#waiting);
    const shown = isAsSaid ? this.#waiting.slice(0, whole).map((token) => ({ ...token, textOffset: token.textOffset + shift })) : [];
    this.#waiting = this.#waiting.slice(whole);
    for (const text of texts) {
      if (!isAsSaid) this.#shift += [...text.released].length - [...text.said].length;
      text.said = '';
      text.released = '';
    }
    return shown;
  }

  #release(text: PassingText, { text: released, end }: { readonly text: string; readonly end?: EarlyEnd }): readonly OutputPart[] {
    text.released += released;
    this.end ??= end;
    return released === '' ? [] : [{ ...text.part, text: released }];
  }
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
