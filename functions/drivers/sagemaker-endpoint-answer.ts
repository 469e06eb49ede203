/**
 * Reads the bytes of a container's answer, however they are cut, as events. Three forms are known by their content type: vLLM's
 * server-sent events, the JSON lines of LMI (the same chunks, one a line) and a whole answer. Only token ids are read; text is ignored.
 */
import { createParser } from 'eventsource-parser';
import { parseCompletionEvent, type ReceivedChunk } from '../../models/invocation.ts';
import { EndpointUnavailableError } from '../gateway/errors.ts';
import type { EndpointEvent, SampledTokenLogprob, TokenLogprob } from '../gateway/services.ts';
import { containerFailure } from './sagemaker-endpoint-failure.ts';

/** `return_tokens_as_token_ids` makes vLLM name tokens so, because two ids may have the same text. */
const TOKEN_NAME = /^token_id:(\d+)$/;

type ReceivedChoice = ReceivedChunk['choices'][number];

export class AnswerReader {
  readonly #endpointName: string;
  readonly #topLogprobs: number;
  readonly #decoder = new TextDecoder();
  readonly #form: 'events' | 'lines' | 'whole';
  readonly #events = createParser({ onEvent: ({ data }) => this.#readData(data) });
  #ready: EndpointEvent[] = [];
  #rest = '';
  #finishReason: 'stop' | 'length' | undefined;
  #cachedPromptTokens: number | undefined;
  #done = false;

  constructor(options: { contentType: string; endpointName: string; topLogprobs: number | undefined }) {
    this.#endpointName = options.endpointName;
    this.#topLogprobs = options.topLogprobs ?? 0;
    this.#form = formOf(options.contentType);
  }

  /** The container said that its answer is whole; anything that comes now is of no interest. */
  get done(): boolean {
    return this.#done;
  }

  /** What the bytes complete. @throws {GatewayError} after the events before it: the container says that it failed, or makes no sense. */
  *push(bytes: Uint8Array): Generator<EndpointEvent> {
    const text = this.#decoder.decode(bytes, { stream: true });
    yield* this.#readyAfter(() => (this.#form === 'events' ? this.#events.feed(text) : this.#splitLines(text)));
  }

  /** The rest, when no more bytes come. @throws {GatewayError} the answer is not whole. */
  *finish(): Generator<EndpointEvent> {
    const rest = this.#rest + this.#decoder.decode();
    // A JSON line may lack its line end; an event without its empty line is none.
    if (this.#form !== 'events' && rest.trim() !== '') yield* this.#readyAfter(() => this.#readData(rest));
    if (this.#finishReason === undefined) throw this.#unavailable('broken');
    const cached = this.#cachedPromptTokens;
    yield { type: 'end', finishReason: this.#finishReason, ...(cached === undefined ? {} : { cachedPromptTokens: cached }) };
  }

  *#readyAfter(read: () => void): Generator<EndpointEvent> {
    let failure: unknown;
    try {
      read();
    } catch (error) {
      failure = error;
    }
    const ready = this.#ready;
    this.#ready = [];
    yield* ready;
    if (failure !== undefined) throw failure;
  }

  #splitLines(text: string): void {
    this.#rest += text;
    if (this.#form === 'whole' || !text.includes('\n')) return;
    const lines = this.#rest.split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) if (line.trim() !== '') this.#readData(line);
  }

  #readData(data: string): void {
    if (this.#done) return;
    const event = this.#parse(data.trim());
    switch (event.type) {
      case 'done':
        this.#done = true;
        return;
      case 'error':
        throw containerFailure(event.code ?? 500, event.message, this.#endpointName);
      case 'chunk': {
        this.#cachedPromptTokens = event.chunk.usage?.prompt_tokens_details?.cached_tokens ?? this.#cachedPromptTokens;
        const [choice] = event.chunk.choices;
        if (choice !== undefined) this.#readChoice(choice);
      }
    }
  }

  #parse(data: string): ReturnType<typeof parseCompletionEvent> {
    try {
      return parseCompletionEvent(data);
    } catch (error) {
      throw this.#unavailable('broken', error);
    }
  }

  #readChoice(choice: ReceivedChoice): void {
    const { token_ids: tokenIds, finish_reason: reason } = choice;
    if (tokenIds === undefined || tokenIds === null) {
      throw this.#unavailable('model-error', new TypeError('The container sent no token ids: it does not know `return_token_ids`.'));
    }
    if (tokenIds.length > 0) {
      const logprobs = readLogprobs(choice.logprobs, tokenIds, this.#topLogprobs);
      this.#ready.push({ type: 'tokens', tokenIds, ...(logprobs === undefined ? {} : { logprobs }) });
    }
    if (reason === null) return;
    if (reason !== 'stop' && reason !== 'length') throw this.#unavailable('broken'); // 'abort': the engine gave up
    this.#finishReason = reason;
  }

  #unavailable(reason: 'broken' | 'model-error', cause?: unknown): EndpointUnavailableError {
    return new EndpointUnavailableError(reason, this.#endpointName, cause === undefined ? {} : { cause });
  }
}

function formOf(contentType: string): 'events' | 'lines' | 'whole' {
  const type = contentType.split(';', 1)[0]?.trim().toLowerCase() ?? '';
  if (/^application\/(jsonlines|jsonl|x-jsonlines|x-ndjson)$/.test(type)) return 'lines';
  return type === 'application/json' ? 'whole' : 'events';
}

/** vLLM's `logprobs` of completions, positions side by side with the token ids; `undefined` when it has none for them. */
function readLogprobs(
  logprobs: ReceivedChoice['logprobs'],
  tokenIds: readonly number[],
  count: number,
): readonly SampledTokenLogprob[] | undefined {
  if (logprobs === undefined || logprobs === null || logprobs.token_logprobs.length !== tokenIds.length) return undefined;
  return tokenIds.map((tokenId, position) => ({
    tokenId,
    logprob: logprobs.token_logprobs[position] ?? Number.NEGATIVE_INFINITY,
    top: readTop(logprobs.top_logprobs?.[position] ?? {}, count),
  }));
}

/** The sampled token is among them even when it is not among the likeliest: one more than was asked for. */
function readTop(alternatives: Readonly<Record<string, number>>, count: number): readonly TokenLogprob[] {
  const top = Object.entries(alternatives).flatMap(([name, logprob]) => {
    const id = TOKEN_NAME.exec(name)?.[1];
    return id === undefined ? [] : [{ tokenId: Number(id), logprob }];
  });
  return top.sort((one, other) => other.logprob - one.logprob).slice(0, count);
}
