/** A request in our words: what the OpenAI layer parses into and what the pipeline reads. */
import type { ChatMessage } from '../../../layers/tokenizer/index.ts';
import type { Grammar, SamplingOptions } from '../services.ts';
import type { OutputPart } from './output-parsers/output-part.ts';
import type { ToolUse } from './tools.ts';

export type Prompt =
  | { readonly type: 'messages'; readonly messages: readonly ChatMessage[] }
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'tokens'; readonly tokenIds: readonly number[] };

export interface GenerationRequest {
  readonly requestId: string;
  readonly modelId: string;
  /** At least one. Choice indexes run prompt by prompt: prompt p's choice i has index p * choicesPerPrompt + i. */
  readonly prompts: readonly Prompt[];
  /** Name of the request field that holds the prompts, for error messages. */
  readonly promptParam: 'messages' | 'prompt' | 'input';
  readonly choicesPerPrompt: number;
  /** Candidates for each prompt, of which the likeliest `choicesPerPrompt` are the answer. */
  readonly bestOf?: number;
  /** Puts the prompt before the answer. Only then `maxTokens` may be 0. */
  readonly echo?: boolean;
  /** `undefined` means as many as the context length leaves. */
  readonly maxTokens?: number;
  /** Name of the request field that `maxTokens` came from, for error messages. */
  readonly maxTokensParam: 'max_tokens' | 'max_completion_tokens' | 'max_output_tokens';
  /** Leaves the oldest turns out when the context length is too short for all; otherwise such a request is refused. */
  readonly dropOldestTurns?: boolean;
  readonly sampling: SamplingOptions;
  readonly stop: readonly string[];
  readonly toolUse?: ToolUse;
  /** What the answer is constrained to, unless a tool is called. */
  readonly grammar?: Grammar;
  readonly topLogprobs?: number;
  /** Nobody waits for it: it may be made when a machine has time. */
  readonly isOffline?: boolean;
  /** Names the session that it belongs to: a digest, never what the caller wrote. Requests of one session go to the same target. */
  readonly sessionId?: string;
}

/** Exact token counts, as a usage record has them. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedPromptTokens: number;
  /** Of the completion's tokens those that are thoughts, with what marks them, and stages that are not the answer. */
  readonly reasoningTokens: number;
}

/** One generated token as log-probability reports show it. */
export interface TokenDetail {
  readonly token: string;
  /** The token's own bytes: they need not be whole UTF-8. */
  readonly bytes: Uint8Array;
  /** Characters (code points) of the choice's text before it; a token inside a character has that character's. */
  readonly textOffset: number;
  /** `undefined` for the first token of an echoed prompt, which follows nothing. */
  readonly logprob: number | undefined;
  readonly top: readonly { readonly token: string; readonly bytes: Uint8Array; readonly logprob: number }[];
}

/** How the model came to its end. */
export type FinishReason = 'stop' | 'length' | 'tool-calls' | 'content-filter';

/** What one choice says, as text, with the usage so far; exactly one `choice-end` closes it. */
export type TextEvent =
  | {
      readonly type: 'text-delta';
      readonly text: string;
      /** Where each generated token of this piece begins, in characters (code points) of the choice's text. A token may come before its text. */
      readonly tokenOffsets: readonly number[];
      readonly tokens: readonly TokenDetail[];
      readonly usage: Usage;
    }
  | ChoiceEnd;

/** What one choice says, understood. */
export type ChoiceEvent =
  | { readonly type: 'delta'; readonly parts: readonly OutputPart[]; readonly tokens: readonly TokenDetail[]; readonly usage: Usage }
  | ChoiceEnd;

export interface ChoiceEnd {
  readonly type: 'choice-end';
  readonly finishReason: FinishReason;
  readonly usage: Usage;
}

/** A choice's event with the index of its choice. */
export type GenerationEvent = ChoiceEvent & { readonly index: number };
