/** What the engine is asked, what it tells, and what it knows of a request while it runs. */
import type { Adapter } from './adapter.ts';
import type { DraftLength } from './drafts.ts';
import type { AnswerGrammar, GrammarSpec } from './grammar.ts';
import type { SamplingParameters, TokenLogprob } from './sampler.ts';

export interface EngineRequest {
  readonly id: string;
  readonly promptTokenIds: readonly number[];
  readonly maxTokens: number;
  readonly minTokens: number;
  /** The end-of-sequence ids first do not count as a stop reason, the request's own do. */
  readonly endTokenIds: readonly number[];
  readonly stopTokenIds: readonly number[];
  readonly sampling: SamplingParameters;
  /** Alternatives for each sampled token; `undefined` asks for no log-probabilities. */
  readonly logprobs: number | undefined;
  /** Alternatives for each prompt token. */
  readonly promptLogprobs: number | undefined;
  /** Lower runs first. */
  readonly priority: number;
  /** Cached prefixes are shared among requests of one salt only. */
  readonly cacheSalt: string;
  /** Name of a loaded adapter. */
  readonly adapter: string | undefined;
  /** What the answer must be. */
  readonly grammar: GrammarSpec | undefined;
}

export interface PositionLogprobs {
  readonly sampled: TokenLogprob;
  readonly top: readonly TokenLogprob[];
}

export interface Finish {
  readonly reason: 'stop' | 'length';
  /** The request's own stop token that ended it; `undefined` for the end of the sequence. */
  readonly stopTokenId: number | undefined;
}

export type EngineEvent =
  | { readonly type: 'started'; readonly id: string; readonly cachedTokens: number }
  /** Log-probabilities of prompt tokens from position 1 on, once the prompt is computed. */
  | { readonly type: 'prompt-logprobs'; readonly id: string; readonly positions: readonly PositionLogprobs[] }
  /** New tokens, several when guesses were right, and the end if this is it. `logprobs` has an entry for each token, or none when they were not asked for. */
  | {
      readonly type: 'output';
      readonly id: string;
      readonly tokenIds: readonly number[];
      readonly logprobs: readonly PositionLogprobs[];
      readonly finish: Finish | undefined;
    }
  | {
      readonly type: 'failed';
      readonly id: string;
      readonly reason: 'queue-full' | 'unknown-adapter' | 'not-a-number' | 'grammar-stuck' | 'step-failed' | 'engine-gone';
    };

export interface RunningRequest {
  readonly request: EngineRequest;
  readonly adapter: Adapter | undefined;
  /** Prefixes are shared within one salt and one adapter. */
  readonly prefixSalt: string;
  /** Prompt and generated ids. */
  readonly tokenIds: number[];
  readonly promptPositions: PositionLogprobs[];
  started: boolean;
  /** Its rows may hold NaN. */
  isSpoilt: boolean;
  readonly draftLength: DraftLength;
  /** Begins with the first token. */
  grammar: AnswerGrammar | undefined;
}
