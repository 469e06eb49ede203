import type { SafetyFilter, SafetyStream } from '../../../layers/safety/index.ts';
import type { VerdictTally } from '../generation/verdicts.ts';
import type { ChoiceEvent, TokenDetail } from './generation-request.ts';
import type { OutputPart } from './output-parsers/output-part.ts';

/**
 * Lets out only what the policy allows, as it comes: what may still become part of a finding is held back, a redacted piece is replaced
 * before any of it is shown, and a block ends the choice in a well-formed way, which also stops the endpoint. The answer, the thoughts and
 * each call's arguments are texts of their own. Without a policy everything passes.
 */
export async function* screenOutput(
  events: AsyncIterable<ChoiceEvent>,
  filter: SafetyFilter | undefined,
  verdicts: VerdictTally,
): AsyncGenerator<ChoiceEvent> {
  if (filter === undefined) return yield* events;
  const screen = new ChoiceScreen(filter, verdicts);
  for await (const event of events) {
    const isEnd = event.type === 'choice-end';
    const parts = isEnd ? screen.flush() : event.parts.flatMap((part) => screen.push(part));
    const tokens = screen.releaseTokens(isEnd ? [] : event.tokens);
    if (parts.length > 0 || tokens.length > 0) yield { type: 'delta', parts, tokens, usage: event.usage };
    if (screen.isBlocked) {
      yield { type: 'choice-end', finishReason: 'content-filter', usage: event.usage };
      return;
    }
    if (isEnd) yield event;
  }
}

type TextPart = Exclude<OutputPart, { readonly type: 'tool-call' }>;

interface ScreenedText {
  /** Names the text that goes on, whatever it says. */
  readonly part: TextPart;
  readonly stream: SafetyStream;
  said: string;
  released: string;
}

class ChoiceScreen {
  readonly #filter: SafetyFilter;
  readonly #verdicts: VerdictTally;
  readonly #texts = new Map<string, ScreenedText>();
  #waiting: TokenDetail[] = [];
  isBlocked = false;

  constructor(filter: SafetyFilter, verdicts: VerdictTally) {
    this.#filter = filter;
    this.#verdicts = verdicts;
  }

  push(part: OutputPart): readonly OutputPart[] {
    if (this.isBlocked) return [];
    if (part.type === 'tool-call') return [part];
    const name = part.type === 'tool-arguments' ? `call ${part.call}` : part.type;
    const text = this.#texts.get(name) ?? { part, stream: this.#filter.stream('output'), said: '', released: '' };
    this.#texts.set(name, text);
    text.said += part.text;
    return this.#release(text, text.stream.push(part.text));
  }

  flush(): readonly OutputPart[] {
    return [...this.#texts.values()].flatMap((text) => (this.isBlocked ? [] : this.#release(text, text.stream.flush())));
  }

  /** Tokens are shown when all text that they may belong to is out as it was said; those of a piece that was replaced never are. */
  releaseTokens(tokens: readonly TokenDetail[]): readonly TokenDetail[] {
    this.#waiting.push(...tokens);
    const texts = [...this.#texts.values()];
    if (!this.isBlocked && texts.some((text) => text.stream.heldLength > 0)) return [];
    const isAsSaid = !this.isBlocked && texts.every((text) => text.said === text.released);
    const shown = isAsSaid ? this.#waiting : [];
    this.#waiting = [];
    for (const text of texts) {
      text.said = '';
      text.released = '';
    }
    return shown;
  }

  #release(text: ScreenedText, { released, verdict }: ReturnType<SafetyStream['push']>): readonly OutputPart[] {
    text.released += released;
    if (verdict !== undefined) this.#verdicts.note('output', verdict);
    this.isBlocked ||= verdict?.action === 'block' && !verdict.dryRun;
    return released === '' ? [] : [{ ...text.part, text: released }];
  }
}
