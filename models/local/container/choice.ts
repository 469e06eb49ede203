import { createDetokenizer, type Detokenizer, type Tokenizer } from '../../../layers/tokenizer/index.ts';
import type { CompletionInvocation, CompletionLogprobs, PromptLogprobs } from '../../invocation.ts';
import type { EngineEvent, PositionLogprobs } from '../engine/engine-request.ts';
import type { PlannedChoice } from './plan-completion.ts';

/** What one engine event adds to a choice. */
export interface ChoicePart {
  readonly text: string;
  readonly tokenIds: readonly number[];
  readonly logprobs: CompletionLogprobs | null;
  readonly finishReason: 'stop' | 'length' | null;
  readonly stopReason: string | number | null;
}

/** One choice while it is generated: detokenizes, watches for stop strings, shapes log-probabilities. */
export class Choice {
  readonly index: number;
  readonly promptTokenIds: readonly number[];
  readonly #body: CompletionInvocation;
  readonly #tokenizer: Tokenizer;
  readonly #detokenizer: Detokenizer;
  /** Text and log-probabilities of the prompt, for `echo`; go out with the first part. */
  #echo: { text: string; logprobs: CompletionLogprobs | null } | undefined;
  #promptPositions: readonly PositionLogprobs[] = [];
  #generated = 0;
  #textLength = 0;
  #logprobSum = 0;
  readonly #wantsLogprobs: boolean;
  /** Prompt tokens that a prefix cache held. */
  cachedTokens = 0;
  isFinished = false;

  constructor({ index, request }: PlannedChoice, body: CompletionInvocation, tokenizer: Tokenizer) {
    this.index = index;
    this.promptTokenIds = request.promptTokenIds;
    this.#body = body;
    this.#tokenizer = tokenizer;
    this.#wantsLogprobs = body.logprobs !== undefined && body.logprobs !== null;
    const stop = (typeof body.stop === 'string' ? [body.stop] : (body.stop ?? [])).filter((text) => text !== '');
    this.#detokenizer = createDetokenizer(tokenizer, {
      stop,
      skipSpecialTokens: body.skip_special_tokens,
      includeStop: body.include_stop_str_in_output,
    });
    // As vLLM: with ids in the answer there is no echo.
    if (body.echo && !body.return_token_ids) this.#echo = { text: tokenizer.decode(request.promptTokenIds), logprobs: null };
  }

  /** Log-probability per token: what `best_of` ranks by. */
  get meanLogprob(): number {
    return this.#logprobSum / Math.max(1, this.#generated);
  }

  get generatedTokens(): number {
    return this.#generated;
  }

  /** For the whole answer: by position, `null` for the first, which nothing predicts. */
  get promptLogprobs(): PromptLogprobs | null {
    if (this.#body.prompt_logprobs === undefined || this.#body.prompt_logprobs === null) return null;
    return [
      null,
      ...this.#promptPositions.map(({ sampled, top }) =>
        Object.fromEntries(
          [...top, sampled].map(({ tokenId, logprob, rank }) => [
            String(tokenId),
            { logprob, rank, decoded_token: this.#tokenizer.decode([tokenId]) },
          ]),
        ),
      ),
    ];
  }

  /** The part to send, if the event makes one. */
  read(event: EngineEvent): ChoicePart | undefined {
    if (event.type === 'started') this.cachedTokens = event.cachedTokens;
    if (event.type === 'prompt-logprobs') this.#promptPositions = event.positions;
    if (event.type !== 'output' || this.isFinished) return undefined;
    let text = '';
    let logprobs: CompletionLogprobs | null = null;
    const tokenIds: number[] = [];
    let stopReason: string | number | null = event.finish?.stopTokenId ?? null;
    for (const [i, tokenId] of event.tokenIds.entries()) {
      tokenIds.push(tokenId);
      this.#generated++;
      // A stop token's text is no part of the answer; its id is.
      const isStopToken =
        event.finish?.stopTokenId === tokenId && i === event.tokenIds.length - 1 && !this.#body.include_stop_str_in_output;
      const pushed = isStopToken ? { text: '', textOffset: this.#textLength } : this.#detokenizer.push(tokenId);
      text += pushed.text;
      const position = event.logprobs[i];
      this.#logprobSum += position?.sampled.logprob ?? 0;
      if (position !== undefined && this.#wantsLogprobs)
        logprobs = joinLogprobs(logprobs, this.#shapeLogprobs([position], [pushed.textOffset]));
      if (!('stop' in pushed) || pushed.stop === undefined) continue;
      this.isFinished = true;
      stopReason = pushed.stop;
      break;
    }
    const stopped = this.isFinished;
    if (event.finish !== undefined && !stopped) {
      this.isFinished = true;
      text += this.#detokenizer.flush();
    }
    this.#textLength += text.length;
    const finishReason = stopped ? 'stop' : (event.finish?.reason ?? null);
    return this.#withEcho({ text, tokenIds, logprobs, finishReason, stopReason });
  }

  #withEcho(part: ChoicePart): ChoicePart {
    const echo = this.#echo;
    if (echo === undefined) return part;
    this.#echo = undefined;
    const logprobs = this.#wantsLogprobs ? this.#promptAsLogprobs() : null;
    return { ...part, text: echo.text + part.text, logprobs: joinLogprobs(logprobs, part.logprobs) };
  }

  #promptAsLogprobs(): CompletionLogprobs {
    const [first = 0] = this.promptTokenIds;
    const detokenizer = createDetokenizer(this.#tokenizer);
    const offsets = this.promptTokenIds.map((id) => detokenizer.push(id).textOffset);
    const rest = this.#shapeLogprobs(this.#promptPositions, offsets.slice(1));
    return {
      text_offset: offsets,
      token_logprobs: [null, ...rest.token_logprobs],
      tokens: [this.#nameToken(first), ...rest.tokens],
      top_logprobs: [null, ...rest.top_logprobs],
    };
  }

  #shapeLogprobs(positions: readonly PositionLogprobs[], textOffsets: readonly number[]): CompletionLogprobs {
    return {
      text_offset: textOffsets,
      token_logprobs: positions.map(({ sampled }) => finite(sampled.logprob)),
      tokens: positions.map(({ sampled }) => this.#nameToken(sampled.tokenId)),
      top_logprobs: positions.map(({ top, sampled }) =>
        Object.fromEntries([...top, sampled].map(({ tokenId, logprob }) => [this.#nameToken(tokenId), finite(logprob)])),
      ),
    };
  }

  #nameToken(tokenId: number): string {
    return this.#body.return_tokens_as_token_ids ? `token_id:${tokenId}` : this.#tokenizer.decode([tokenId]);
  }
}

/** JSON has no infinity: a token that was masked away gets vLLM's -9999. */
function finite(logprob: number): number {
  return Math.max(logprob, -9999);
}

export function joinLogprobs(first: CompletionLogprobs | null, second: CompletionLogprobs | null): CompletionLogprobs | null {
  if (first === null || second === null) return first ?? second;
  return {
    text_offset: [...first.text_offset, ...second.text_offset],
    token_logprobs: [...first.token_logprobs, ...second.token_logprobs],
    tokens: [...first.tokens, ...second.tokens],
    top_logprobs: [...first.top_logprobs, ...second.top_logprobs],
  };
}
