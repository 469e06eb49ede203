/** `POST /v1/completions`, out. https://platform.openai.com/docs/api-reference/completions/object */
import type { Completion, CompletionChoice } from 'openai/resources/completions';
import type { FinishReason, GenerationEvent, TokenDetail } from '../pipeline/generation-request.ts';
import { type AnswerHead, type AnswerRequest, collectAnswer, encodeUsage, sumUsage, UsageTotal } from './answer.ts';
import type { Delivery } from './request-fields.ts';

/** As GPT-3 sent them: null for the first token of an echoed prompt, which the SDK's type does not say. */
interface CompletionLogprobs {
  readonly tokens: readonly string[];
  readonly token_logprobs: readonly (number | null)[];
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
  readonly text_offset: readonly number[];
}

type WholeChoice = Omit<CompletionChoice, 'logprobs'> & { readonly logprobs: CompletionLogprobs | null };
type WholeCompletion = Omit<Completion, 'choices'> & { readonly choices: readonly WholeChoice[] };

/** The whole answer, once the last event has come. */
export async function encodeCompletion(
  events: AsyncIterable<GenerationEvent>,
  request: AnswerRequest,
  head: AnswerHead,
): Promise<WholeCompletion> {
  const choices = await collectAnswer(events);
  return {
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: request.modelId,
    choices: choices.map((choice) => ({
      index: choice.index,
      text: choice.content,
      logprobs: request.topLogprobs === undefined ? null : encodeLogprobs(choice.tokens),
      finish_reason: encodeFinishReason(choice.finishReason),
    })),
    usage: encodeUsage(sumUsage(choices, request.choicesPerPrompt)),
  };
}

/** A chunk has a null `finish_reason` until its choice ends; the SDK's type, made from the whole answer, does not say so. */
type CompletionChunk = Omit<Completion, 'choices' | 'usage'> & {
  readonly choices: readonly (Omit<WholeChoice, 'finish_reason'> & {
    readonly finish_reason: CompletionChoice['finish_reason'] | null;
  })[];
  readonly usage?: Completion['usage'] | null;
};

export async function* encodeCompletionChunks(
  events: AsyncIterable<GenerationEvent>,
  request: AnswerRequest,
  head: AnswerHead,
  delivery: Delivery,
): AsyncGenerator<CompletionChunk> {
  const usage = new UsageTotal(request.choicesPerPrompt);
  const chunk = (choices: CompletionChunk['choices']): CompletionChunk => ({
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: request.modelId,
    choices,
    ...(delivery.includeUsage ? { usage: null } : {}),
  });
  for await (const event of events) {
    const { index } = event;
    switch (event.type) {
      case 'delta': {
        const text = event.parts.map((part) => ('text' in part ? part.text : '')).join('');
        yield chunk([
          {
            index,
            text,
            logprobs: request.topLogprobs === undefined ? null : encodeLogprobs(event.tokens),
            finish_reason: null,
          },
        ]);
        break;
      }
      case 'choice-end':
        usage.add(event);
        yield chunk([{ index, text: '', logprobs: null, finish_reason: encodeFinishReason(event.finishReason) }]);
        break;
    }
  }
  if (delivery.includeUsage) yield { ...chunk([]), usage: encodeUsage(usage.total()) };
}

/** A bare completion offers no tools, so it never ends with a call. */
function encodeFinishReason(reason: FinishReason): 'stop' | 'length' | 'content_filter' {
  switch (reason) {
    case 'stop':
    case 'tool-calls':
      return 'stop';
    case 'length':
      return 'length';
    case 'content-filter':
      return 'content_filter';
  }
}

/** GPT-3's shape: parallel arrays. Offsets count characters of the choice's text. */
function encodeLogprobs(tokens: readonly TokenDetail[]): CompletionLogprobs {
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob ?? null),
    top_logprobs: tokens.map(({ logprob, top }) =>
      logprob === undefined ? null : Object.fromEntries(top.map((one) => [one.token, one.logprob])),
    ),
    text_offset: tokens.map(({ textOffset }) => textOffset),
  };
}
