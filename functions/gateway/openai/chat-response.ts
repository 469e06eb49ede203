/** `POST /v1/chat/completions`, out. https://platform.openai.com/docs/api-reference/chat/object */
import type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionMessage,
  ChatCompletionTokenLogprob,
} from 'openai/resources/chat/completions';
import type { FinishReason, GenerationEvent, TokenDetail } from '../pipeline/generation-request.ts';
import type { OutputPart } from '../pipeline/output-parsers/output-part.ts';
import {
  type AnswerHead,
  type AnswerRequest,
  type CollectedChoice,
  collectAnswer,
  encodeUsage,
  sumUsage,
  UNKNOWN_LOGPROB,
  UsageTotal,
} from './answer.ts';
import { obfuscate } from './obfuscation.ts';
import type { Delivery } from './request-fields.ts';

const FINISH_REASONS = {
  stop: 'stop',
  length: 'length',
  'tool-calls': 'tool_calls',
  'content-filter': 'content_filter',
} as const satisfies Record<FinishReason, string>;

/** What open models' servers call a model's thoughts; OpenAI's own API does not show them. */
type WithReasoning<Message> = Message & { readonly reasoning_content?: string };

/** The whole answer, once the last event has come. */
export async function encodeChatCompletion(
  events: AsyncIterable<GenerationEvent>,
  request: AnswerRequest,
  head: AnswerHead,
): Promise<ChatCompletion> {
  const choices = await collectAnswer(events);
  return {
    id: head.id,
    object: 'chat.completion',
    created: head.created,
    model: request.modelId,
    service_tier: 'default',
    choices: choices.map((choice) => ({
      index: choice.index,
      message: encodeMessage(choice, head),
      logprobs: request.topLogprobs === undefined ? null : { content: choice.tokens.map(encodeTokenLogprob), refusal: null },
      finish_reason: FINISH_REASONS[choice.finishReason],
    })),
    usage: encodeUsage(sumUsage(choices, request.choicesPerPrompt)),
  };
}

function encodeMessage({ content, reasoning, calls }: CollectedChoice, { ids }: AnswerHead): WithReasoning<ChatCompletionMessage> {
  return {
    role: 'assistant',
    content: content === '' && calls.length > 0 ? null : content,
    refusal: null,
    annotations: [],
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(calls.length === 0 ? {} : { tool_calls: calls.map((call) => ({ id: ids.create('call_'), type: 'function', function: call })) }),
  };
}

type Delta = WithReasoning<ChatCompletionChunk.Choice.Delta>;
type Chunk = ChatCompletionChunk & { readonly obfuscation?: string };

/** The answer in chunks: the role first, then what is said as it comes, then each choice's finish reason, then usage if it was asked for. */
export async function* encodeChatChunks(
  events: AsyncIterable<GenerationEvent>,
  request: AnswerRequest,
  head: AnswerHead,
  delivery: Delivery,
): AsyncGenerator<Chunk> {
  const usage = new UsageTotal(request.choicesPerPrompt);
  const chunk = (choices: ChatCompletionChunk['choices']): Chunk => ({
    id: head.id,
    object: 'chat.completion.chunk',
    created: head.created,
    model: request.modelId,
    service_tier: 'default',
    choices,
    // OpenAI sends null in every chunk but the last when usage was asked for, and no field at all otherwise.
    ...(delivery.includeUsage ? { usage: null } : {}),
  });
  const deltaChunk = (index: number, delta: Delta, tokens: readonly TokenDetail[], said: string): Chunk => ({
    ...chunk([
      {
        index,
        delta,
        logprobs: request.topLogprobs === undefined ? null : { content: tokens.map(encodeTokenLogprob), refusal: null },
        finish_reason: null,
      },
    ]),
    ...(delivery.obfuscate ? { obfuscation: obfuscate(said) } : {}),
  });

  const introduced = new Set<number>();
  for await (const event of events) {
    const { index } = event;
    if (!introduced.has(index)) {
      introduced.add(index);
      yield deltaChunk(index, { role: 'assistant', content: '', refusal: null }, [], '');
    }
    switch (event.type) {
      case 'delta': {
        // Tokens whose text is still held back are reported all the same, with the text so far.
        const parts: readonly OutputPart[] = event.parts.length > 0 ? event.parts : [{ type: 'content', text: '' }];
        for (const [position, part] of parts.entries()) {
          yield deltaChunk(index, encodeDelta(part, head), position === 0 ? event.tokens : [], 'text' in part ? part.text : part.name);
        }
        break;
      }
      case 'choice-end':
        usage.add(event);
        yield chunk([{ index, delta: {}, logprobs: null, finish_reason: FINISH_REASONS[event.finishReason] }]);
        break;
    }
  }
  if (delivery.includeUsage) yield { ...chunk([]), usage: encodeUsage(usage.total()) };
}

function encodeDelta(part: OutputPart, { ids }: AnswerHead): Delta {
  switch (part.type) {
    case 'content':
      return { content: part.text };
    case 'reasoning':
      return { reasoning_content: part.text };
    case 'tool-call':
      return {
        tool_calls: [{ index: part.call, id: ids.create('call_'), type: 'function', function: { name: part.name, arguments: '' } }],
      };
    case 'tool-arguments':
      return { tool_calls: [{ index: part.call, function: { arguments: part.text } }] };
  }
}

function encodeTokenLogprob(token: TokenDetail): ChatCompletionTokenLogprob {
  return {
    token: token.token,
    logprob: token.logprob ?? UNKNOWN_LOGPROB,
    bytes: [...token.bytes],
    top_logprobs: token.top.map((alternative) => ({
      token: alternative.token,
      logprob: alternative.logprob,
      bytes: [...alternative.bytes],
    })),
  };
}
