import type { OutputPart } from '../pipeline/output-parsers/output-part.ts';
import type { EarlyEnd, Released, TextStage } from './text-stages.ts';

/** A piece of one of the texts that a choice says. */
export type TextPart = Exclude<OutputPart, { readonly type: 'tool-call' }>;

/**
 * The texts of one choice on their way, each through stages of its own: the answer, the thoughts and each call's arguments. A text is over where
 * another begins, so that all come in the order in which they were said.
 */
export class ChoiceTexts {
  readonly #createStage: (part: TextPart) => TextStage;
  #open: { readonly part: TextPart; readonly stage: TextStage } | undefined;
  /** Why the choice ends here. */
  end: EarlyEnd | undefined;

  constructor(createStage: (part: TextPart) => TextStage) {
    this.#createStage = createStage;
  }

  get heldLength(): number {
    return this.#open?.stage.heldLength ?? 0;
  }

  async push(parts: readonly OutputPart[]): Promise<readonly OutputPart[]> {
    const shown: OutputPart[] = [];
    for (const part of parts) {
      if (this.#open !== undefined && isOther(this.#open.part, part)) shown.push(...(await this.flush()));
      if (this.end !== undefined) break;
      if (part.type === 'tool-call') shown.push(part);
      else {
        this.#open ??= { part, stage: this.#createStage(part) };
        shown.push(...this.#release(this.#open.part, await this.#open.stage.push(part.text)));
      }
    }
    return shown;
  }

  /** The text is over: what was held. */
  async flush(): Promise<readonly OutputPart[]> {
    const open = this.#open;
    this.#open = undefined;
    return open === undefined || this.end !== undefined ? [] : this.#release(open.part, await open.stage.flush());
  }

  #release(part: TextPart, { text, end }: Released): readonly OutputPart[] {
    this.end ??= end;
    return text === '' ? [] : [{ ...part, text }];
  }
}

function isOther(open: TextPart, next: OutputPart): boolean {
  return open.type !== next.type || (open.type === 'tool-arguments' && next.type === 'tool-arguments' && open.call !== next.call);
}
