/** Whether a streamed chat completion is what OpenAI's API promises, and when its text came. */
import { createParser } from 'eventsource-parser';
import * as v from 'valibot';

/** What was wrong with an answer, or kept it away. Fixed words, so that a log line never repeats what was received. */
export type CanaryFailure =
  | 'no-key'
  | 'unreachable'
  | 'too-late'
  | 'refused'
  | 'no-event-stream'
  | 'malformed'
  | 'error-event'
  | 'no-text'
  | 'wrong-finish-reason'
  | 'wrong-usage'
  | 'cut';

interface FailureFacts {
  readonly detail?: string | undefined;
  readonly requestId?: string | undefined;
  readonly cause?: unknown;
}

export class CanaryFailedError extends Error {
  override readonly name = 'CanaryFailedError';
  readonly failure: CanaryFailure;
  /** An HTTP status or an error's code. */
  readonly detail: string | undefined;
  /** By which the gateway's log knows the request, when it was answered at all. */
  readonly requestId: string | undefined;
  constructor(failure: CanaryFailure, { detail, requestId, cause }: FailureFacts = {}) {
    super(`The generation failed: ${failure}${detail === undefined ? '' : ` (${detail})`}.`, { cause });
    this.failure = failure;
    this.detail = detail;
    this.requestId = requestId;
  }
}

const count = v.pipe(v.number(), v.integer(), v.minValue(1));
const usageSchema = v.pipe(
  v.object({ prompt_tokens: count, completion_tokens: count, total_tokens: count }),
  v.check((usage) => usage.total_tokens === usage.prompt_tokens + usage.completion_tokens),
);
const text = v.nullish(v.string());
const chunkSchema = v.object({
  object: v.literal('chat.completion.chunk'),
  choices: v.array(
    v.object({ index: v.literal(0), delta: v.object({ content: text, reasoning_content: text }), finish_reason: v.nullish(v.string()) }),
  ),
  usage: v.nullish(v.unknown()),
});
const errorSchema = v.object({ error: v.object({ code: v.nullish(v.string()) }) });

/** The code of an error in OpenAI's shape, when it is a word: nothing else may enter a log. */
export function errorCode(json: string): string | undefined {
  const result = v.safeParse(v.pipe(v.string(), v.parseJson(), errorSchema), json);
  const code = result.success ? result.output.error.code : undefined;
  return typeof code === 'string' && /^\w{1,64}$/.test(code) ? code : undefined;
}

export interface CheckedAnswer {
  readonly completionTokens: number;
  /** On the clock of whoever pushed. */
  readonly firstTextAt: number;
  readonly lastTextAt: number;
}

export class AnswerCheck {
  readonly #maxTokens: number;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });
  readonly #parser = createParser({ onEvent: ({ event, data }) => event === undefined && this.#read(data) });
  #at = 0;
  #firstTextAt: number | undefined;
  #lastTextAt = 0;
  #finishReason: string | undefined;
  #completionTokens: number | undefined;
  #done = false;

  constructor(maxTokens: number) {
    this.#maxTokens = maxTokens;
  }

  /** @param at when the bytes came. @throws {CanaryFailedError} they are not what an answer is made of. */
  push(bytes: Uint8Array, at: number): void {
    this.#at = at;
    this.#parser.feed(this.#decode(bytes));
  }

  /** @throws {CanaryFailedError} the answer is not whole, or does not add up. */
  finish(): CheckedAnswer {
    if (!this.#done) throw new CanaryFailedError('cut');
    if (this.#firstTextAt === undefined) throw new CanaryFailedError('no-text');
    if (this.#finishReason !== 'stop' && this.#finishReason !== 'length') throw new CanaryFailedError('wrong-finish-reason');
    if (this.#completionTokens === undefined || this.#completionTokens > this.#maxTokens) throw new CanaryFailedError('wrong-usage');
    return { completionTokens: this.#completionTokens, firstTextAt: this.#firstTextAt, lastTextAt: this.#lastTextAt };
  }

  #decode(bytes: Uint8Array): string {
    try {
      return this.#decoder.decode(bytes, { stream: true });
    } catch (error) {
      throw new CanaryFailedError('malformed', { cause: error });
    }
  }

  #read(data: string): void {
    if (this.#done) throw new CanaryFailedError('malformed'); // nothing follows [DONE]
    if (data === '[DONE]') {
      this.#done = true;
      return;
    }
    const chunk = v.safeParse(v.pipe(v.string(), v.parseJson(), chunkSchema), data);
    if (!chunk.success) {
      const isError = v.is(v.pipe(v.string(), v.parseJson(), errorSchema), data);
      throw isError ? new CanaryFailedError('error-event', { detail: errorCode(data) }) : new CanaryFailedError('malformed');
    }
    for (const { delta, finish_reason } of chunk.output.choices) {
      if (delta.content || delta.reasoning_content) this.#sawText();
      if (typeof finish_reason !== 'string') continue;
      if (this.#finishReason !== undefined) throw new CanaryFailedError('wrong-finish-reason'); // it comes once
      this.#finishReason = finish_reason;
    }
    if (chunk.output.usage === null || chunk.output.usage === undefined) return;
    const usage = v.safeParse(usageSchema, chunk.output.usage);
    if (!usage.success || this.#completionTokens !== undefined) throw new CanaryFailedError('wrong-usage');
    this.#completionTokens = usage.output.completion_tokens;
  }

  #sawText(): void {
    if (this.#finishReason !== undefined) throw new CanaryFailedError('wrong-finish-reason'); // text after the end
    this.#firstTextAt ??= this.#at;
    this.#lastTextAt = this.#at;
  }
}
