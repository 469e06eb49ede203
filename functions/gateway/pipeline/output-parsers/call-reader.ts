import { CallScanner } from './call-scanner.ts';
import type { OutputPart } from './output-part.ts';

/** Reads the calls of one answer, one after the other, and numbers them. */
export class CallReader {
  readonly #isTool: (name: string) => boolean;
  #scanner: CallScanner;
  #begun = 0;

  /** @param isTool tells whether the caller offered a tool of this name. */
  constructor(isTool: (name: string) => boolean) {
    this.#isTool = isTool;
    this.#scanner = new CallScanner(isTool);
  }

  /** How many calls have begun. */
  get begun(): number {
    return this.#begun;
  }

  /** What was read of a call that has not begun yet: text, if the answer ends here. */
  get pending(): string {
    return this.#scanner.isCall ? '' : this.#scanner.text;
  }

  next(): void {
    this.#scanner = new CallScanner(this.#isTool);
  }

  /** `end`: the call is over. `no-call`: it was none, and `pending` is text. */
  read(character: string): { readonly parts: readonly OutputPart[]; readonly outcome: 'more' | 'end' | 'no-call' } {
    const parts: OutputPart[] = [];
    let outcome: 'more' | 'end' | 'no-call' = 'more';
    for (const event of this.#scanner.read(character)) {
      switch (event.type) {
        case 'name':
          this.#begun += 1;
          parts.push({ type: 'tool-call', call: this.#begun - 1, name: event.name });
          break;
        case 'arguments':
          parts.push({ type: 'tool-arguments', call: this.#begun - 1, text: event.text });
          break;
        case 'end':
        case 'no-call':
          outcome = event.type;
          break;
      }
    }
    return { parts, outcome };
  }
}
