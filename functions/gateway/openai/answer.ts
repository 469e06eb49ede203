/** What both kinds of answer share: identity, usage, and the collecting of a whole answer. */
import type { CompletionUsage } from 'openai/resources/completions';
import type { FinishReason, GenerationEvent, GenerationRequest, TokenDetail, Usage } from '../pipeline/generation-request.ts';
import type { Ids } from '../services.ts';

/** One `id` and one `created` for the whole answer, in every chunk. */
export interface AnswerHead {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  /** Names the calls of tools. */
  readonly ids: Ids;
}

/** What an answer tells of its request. */
export type AnswerRequest = Pick<GenerationRequest, 'modelId' | 'choicesPerPrompt' | 'topLogprobs'>;

/** OpenAI's own mark for a token whose log-probability is not known. */
export const UNKNOWN_LOGPROB = -9999;

export interface CollectedChoice {
  readonly index: number;
  readonly content: string;
  readonly reasoning: string;
  readonly calls: readonly { readonly name: string; readonly arguments: string }[];
  readonly tokens: readonly TokenDetail[];
  readonly finishReason: FinishReason;
  readonly usage: Usage;
}

/** Reads a generation to its end. Choices come sorted by index. */
export async function collectAnswer(events: AsyncIterable<GenerationEvent>): Promise<readonly CollectedChoice[]> {
  const open = new Map<number, ChoiceCollector>();
  const choices: CollectedChoice[] = [];
  for await (const event of events) {
    const choice = open.get(event.index) ?? new ChoiceCollector();
    open.set(event.index, choice);
    switch (event.type) {
      case 'delta':
        choice.add(event);
        break;
      case 'choice-end':
        choices.push({ index: event.index, ...choice.collected(), finishReason: event.finishReason, usage: event.usage });
        break;
    }
  }
  return choices.sort((one, other) => one.index - other.index);
}

class ChoiceCollector {
  #content = '';
  #reasoning = '';
  readonly #calls: { name: string; arguments: string }[] = [];
  readonly #tokens: TokenDetail[] = [];

  add({ parts, tokens }: Extract<GenerationEvent, { type: 'delta' }>): void {
    this.#tokens.push(...tokens);
    for (const part of parts) {
      switch (part.type) {
        case 'content':
          this.#content += part.text;
          break;
        case 'reasoning':
          this.#reasoning += part.text;
          break;
        case 'tool-call':
          this.#calls.push({ name: part.name, arguments: '' });
          break;
        case 'tool-arguments': {
          const call = this.#calls[part.call];
          if (call !== undefined) call.arguments += part.text;
          break;
        }
      }
    }
  }

  collected() {
    return { content: this.#content, reasoning: this.#reasoning, calls: this.#calls, tokens: this.#tokens };
  }
}

/** Sums usage over choices. A prompt's tokens count once, however many choices it has, as OpenAI counts them. */
export class UsageTotal {
  readonly #choicesPerPrompt: number;
  #promptTokens = 0;
  #completionTokens = 0;
  #cachedPromptTokens = 0;
  #reasoningTokens = 0;
  constructor(choicesPerPrompt: number) {
    this.#choicesPerPrompt = choicesPerPrompt;
  }
  add({ index, usage }: { readonly index: number; readonly usage: Usage }): void {
    this.#completionTokens += usage.completionTokens;
    this.#reasoningTokens += usage.reasoningTokens;
    if (index % this.#choicesPerPrompt !== 0) return;
    this.#promptTokens += usage.promptTokens;
    this.#cachedPromptTokens += usage.cachedPromptTokens;
  }
  total(): Usage {
    return {
      promptTokens: this.#promptTokens,
      completionTokens: this.#completionTokens,
      cachedPromptTokens: this.#cachedPromptTokens,
      reasoningTokens: this.#reasoningTokens,
    };
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
    completion_tokens_details: {
      reasoning_tokens: usage.reasoningTokens,
      ...{ audio_tokens: 0, accepted_prediction_tokens: 0, rejected_prediction_tokens: 0 },
    },
  };
}
