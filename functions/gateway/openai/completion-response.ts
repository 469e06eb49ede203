/** `POST /v1/completions`, out. https://platform.openai.com/docs/api-reference/completions/object */
import type { Completion, CompletionChoice } from 'openai/resources/completions';
import type { FinishReason, GenerationEvent, GenerationRequest, TokenDetail } from '../pipeline/generation-request.ts';
import { type AnswerHead, collectAnswer, encodeUsage, sumUsage, UsageTotal } from './answer.ts';
import type { Delivery } from './request-fields.ts';

/** The whole answer, once the last event has come. */
export async function encodeCompletion(
  events: AsyncIterable<GenerationEvent>,
  request: GenerationRequest,
  head: AnswerHead,
): Promise<Completion> {
  const choices = await collectAnswer(events);
  return {
    id: head.id,
    object: 'text_completion',
    created: head.created,
    model: request.modelId,
    choices: choices.map((choice) => ({
      index: choice.index,
      text: choice.content,
      logprobs: request.topLogprobs === undefined ? null : encodeLogprobs(choice.tokens, 0),
      finish_reason: encodeFinishReason(choice.finishReason),
    })),
    usage: encodeUsage(sumUsage(choices, request.choicesPerPrompt)),
  };
}

/** A chunk has a null `finish_reason` until its choice ends; the SDK's type, made from the whole answer, does not say so. */
type CompletionChunk = Omit<Completion, 'choices' | 'usage'> & {
  readonly choices: readonly (Omit<CompletionChoice, 'finish_reason'> & {
    readonly finish_reason: CompletionChoice['finish_reason'] | null;
  })[];
  readonly usage?: Completion['usage'] | null;
};

export async function* encodeCompletionChunks(
  events: AsyncIterable<GenerationEvent>,
  request: GenerationRequest,
  head: AnswerHead,
  delivery: Delivery,
): AsyncGenerator<CompletionChunk> {
  const usage = new UsageTotal(request.choicesPerPrompt);
  const textLength = new Map<number, number>();
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
    const offset = textLength.get(index) ?? 0;
    switch (event.type) {
      case 'delta': {
        const text = event.parts.map((part) => ('text' in part ? part.text : '')).join('');
        textLength.set(index, offset + text.length);
        yield chunk([
          {
            index,
            text,
            logprobs: request.topLogprobs === undefined ? null : encodeLogprobs(event.tokens, offset),
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

/** GPT-3's shape: parallel arrays. Offsets count UTF-16 units of the answer's text, token by token. */
function encodeLogprobs(tokens: readonly TokenDetail[], firstOffset: number): NonNullable<CompletionChoice['logprobs']> {
  let offset = firstOffset;
  const text_offset = tokens.map(({ token }) => {
    const at = offset;
    offset += token.length;
    return at;
  });
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ top }) => Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]))),
    text_offset,
  };
}
