/** What both kinds of answer share: identity, usage, and the collecting of a whole answer. */
import type { CompletionUsage } from 'openai/resources/completions';
import type { FinishReason, GenerationEvent, TokenDetail, Usage } from '../pipeline/generation-request.ts';

/** One `id` and one `created` for the whole answer, in every chunk. */
export interface AnswerHead {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
}

export interface CollectedChoice {
  readonly index: number;
  readonly text: string;
  readonly tokens: readonly TokenDetail[];
  readonly finishReason: FinishReason;
  readonly usage: Usage;
}

/** Reads a generation to its end. Choices come sorted by index. */
export async function collectAnswer(events: AsyncIterable<GenerationEvent>): Promise<readonly CollectedChoice[]> {
  const open = new Map<number, { text: string; tokens: TokenDetail[] }>();
  const choices: CollectedChoice[] = [];
  for await (const event of events) {
    const choice = open.get(event.index) ?? { text: '', tokens: [] };
    open.set(event.index, choice);
    switch (event.type) {
      case 'text-delta':
        choice.text += event.text;
        choice.tokens.push(...event.tokens);
        break;
      case 'choice-end':
        choices.push({ index: event.index, ...choice, finishReason: event.finishReason, usage: event.usage });
        break;
    }
  }
  return choices.sort((one, other) => one.index - other.index);
}

/** Sums usage over choices. A prompt's tokens count once, however many choices it has, as OpenAI counts them. */
export class UsageTotal {
  readonly #choicesPerPrompt: number;
  #promptTokens = 0;
  #completionTokens = 0;
  #cachedPromptTokens = 0;
  constructor(choicesPerPrompt: number) {
    this.#choicesPerPrompt = choicesPerPrompt;
  }
  add({ index, usage }: { readonly index: number; readonly usage: Usage }): void {
    this.#completionTokens += usage.completionTokens;
    if (index % this.#choicesPerPrompt !== 0) return;
    this.#promptTokens += usage.promptTokens;
    this.#cachedPromptTokens += usage.cachedPromptTokens;
  }
  total(): Usage {
    return { promptTokens: this.#promptTokens, completionTokens: this.#completionTokens, cachedPromptTokens: this.#cachedPromptTokens };
  }
}

export function sumUsage(choices: readonly CollectedChoice[], choicesPerPrompt: number): Usage {
  const total = new UsageTotal(choicesPerPrompt);
  for (const choice of choices) total.add(choice);
  return total.total();
}

export function encodeUsage(usage: Usage): CompletionUsage {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedPromptTokens, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
  };
}
