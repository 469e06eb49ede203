/** `POST /v1/chat/completions`, out. https://platform.openai.com/docs/api-reference/chat/object */
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionTokenLogprob } from 'openai/resources/chat/completions';
import type { GenerationEvent, GenerationRequest, TokenDetail } from '../pipeline/generation-request.ts';
import { type AnswerHead, collectAnswer, encodeUsage, sumUsage, UsageTotal } from './answer.ts';
import type { Delivery } from './request-fields.ts';

/** The whole answer, once the last event has come. */
export async function encodeChatCompletion(
  events: AsyncIterable<GenerationEvent>,
  request: GenerationRequest,
  head: AnswerHead,
): Promise<ChatCompletion> {
  const choices = await collectAnswer(events);
  return {
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: request.modelId,
    choices: choices.map((choice) => ({
      index: choice.index,
      message: { role: 'assistant', content: choice.text, refusal: null },
      logprobs: request.topLogprobs === undefined ? null : { content: choice.tokens.map(encodeTokenLogprob), refusal: null },
      finish_reason: choice.finishReason,
    })),
    usage: encodeUsage(sumUsage(choices, request.choicesPerPrompt)),
  };
}

/** The answer in chunks: the role first, then text as it comes, then each choice's finish reason, then usage if it was asked for. */
export async function* encodeChatChunks(
  events: AsyncIterable<GenerationEvent>,
  request: GenerationRequest,
  head: AnswerHead,
  delivery: Delivery,
): AsyncGenerator<ChatCompletionChunk> {
  const usage = new UsageTotal(request.choicesPerPrompt);
  const chunk = (choices: ChatCompletionChunk['choices']): ChatCompletionChunk => ({
    id: head.id,
    object: 'chat.completion.chunk',
    created: head.created,
    model: request.modelId,
    choices,
    // OpenAI sends null in every chunk but the last when usage was asked for, and no field at all otherwise.
    ...(delivery.includeUsage ? { usage: null } : {}),
  });
  const introduced = new Set<number>();
  for await (const event of events) {
    if (!introduced.has(event.index)) {
      introduced.add(event.index);
      yield chunk([{ index: event.index, delta: { role: 'assistant', content: '', refusal: null }, logprobs: null, finish_reason: null }]);
    }
    switch (event.type) {
      case 'text-delta':
        yield chunk([
          {
            index: event.index,
            delta: { content: event.text },
            logprobs: request.topLogprobs === undefined ? null : { content: event.tokens.map(encodeTokenLogprob), refusal: null },
            finish_reason: null,
          },
        ]);
        break;
      case 'choice-end':
        usage.add(event);
        yield chunk([{ index: event.index, delta: {}, logprobs: null, finish_reason: event.finishReason }]);
        break;
    }
  }
  if (delivery.includeUsage) yield { ...chunk([]), usage: encodeUsage(usage.total()) };
}

function encodeTokenLogprob(token: TokenDetail): ChatCompletionTokenLogprob {
  return {
    token: token.token,
    logprob: token.logprob,
    bytes: [...token.bytes],
    top_logprobs: token.top.map((alternative) => ({
      token: alternative.token,
      logprob: alternative.logprob,
      bytes: [...alternative.bytes],
    })),
  };
}
