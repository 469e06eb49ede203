/**
 * The wire of a model container's `POST /invocations`: vLLM's completions schema as its SageMaker image speaks it. The embedded
 * container serves it, the local SageMaker runtime passes it on, and the gateway's SageMaker driver writes and reads it.
 * Recorded from vLLM 0.32; field names are the wire's.
 */
import * as v from 'valibot';

/** Picks the LoRA adapter. The body's `model` is ignored on this path, as vLLM ignores it. */
export const ADAPTER_HEADER = 'x-amzn-sagemaker-adapter-identifier';
/** Becomes the answer's id, with the prefix `cmpl-`. */
export const REQUEST_ID_HEADER = 'x-request-id';
/** Closes a stream of server-sent events, also one that ended in an error event. */
export const DONE = '[DONE]';
/** Most alternatives for each position that `logprobs` may ask for. */
const MAX_LOGPROBS = 20;

const integer = v.pipe(v.number(), v.integer('must be a whole number'));
const count = v.pipe(integer, v.minValue(0));
const tokenId = v.pipe(integer, v.minValue(0, 'a token id is a whole number from 0'));
/** Left out and `null` both mean the default, as in OpenAI's API. */
const flag = (value: boolean) => v.nullish(v.boolean(), value);

const structuredOutputsSchema = v.pipe(
  v.object({
    json: v.nullish(v.union([v.string(), v.record(v.string(), v.unknown())])),
    json_object: v.nullish(v.boolean()),
    regex: v.nullish(v.string()),
    choice: v.nullish(v.pipe(v.array(v.string()), v.minLength(1))),
    grammar: v.nullish(v.string()),
    structural_tag: v.nullish(v.union([v.string(), v.record(v.string(), v.unknown())])),
  }),
  v.check(
    (outputs) => Object.values(outputs).filter((value) => value !== undefined && value !== null).length === 1,
    'exactly one of json, json_object, regex, choice, grammar and structural_tag must be given',
  ),
);

const responseFormatSchema = v.variant('type', [
  v.object({ type: v.literal('text') }),
  v.object({ type: v.literal('json_object') }),
  v.object({
    type: v.literal('json_schema'),
    json_schema: v.object({
      name: v.optional(v.string()),
      schema: v.nullish(v.record(v.string(), v.unknown())),
      strict: v.nullish(v.boolean()),
    }),
  }),
  v.object({ type: v.literal('structural_tag'), structures: v.unknown(), triggers: v.unknown() }),
]);

/** Unknown fields are dropped in silence, as vLLM drops them: who needs a field must know that the container has it. */
const completionSchema = v.object({
  prompt: v.union(
    [
      v.string(),
      v.pipe(v.array(v.string()), v.minLength(1)),
      v.pipe(v.array(tokenId), v.minLength(1)),
      v.pipe(v.array(v.pipe(v.array(tokenId), v.minLength(1))), v.minLength(1)),
    ],
    'must be a text, a list of token ids, or a list of either',
  ),
  stream: flag(false),
  stream_options: v.nullish(v.object({ include_usage: flag(false), continuous_usage_stats: flag(false) })),
  max_tokens: v.nullish(count, 16),
  min_tokens: v.nullish(count, 0),
  n: v.nullish(v.pipe(integer, v.minValue(1), v.maxValue(128)), 1),
  best_of: v.nullish(v.pipe(integer, v.minValue(1), v.maxValue(128))),
  temperature: v.nullish(v.pipe(v.number(), v.minValue(0)), 1),
  top_p: v.nullish(v.pipe(v.number(), v.gtValue(0), v.maxValue(1)), 1),
  /** 0 and -1 both mean all tokens. */
  top_k: v.nullish(v.pipe(integer, v.minValue(-1)), 0),
  min_p: v.nullish(v.pipe(v.number(), v.minValue(0), v.maxValue(1)), 0),
  seed: v.nullish(v.pipe(integer, v.minValue(Number.MIN_SAFE_INTEGER), v.maxValue(Number.MAX_SAFE_INTEGER))),
  repetition_penalty: v.nullish(v.pipe(v.number(), v.gtValue(0), v.maxValue(2)), 1),
  frequency_penalty: v.nullish(v.pipe(v.number(), v.minValue(-2), v.maxValue(2)), 0),
  presence_penalty: v.nullish(v.pipe(v.number(), v.minValue(-2), v.maxValue(2)), 0),
  /** Token id, as JSON writes keys, to what is added to its logit. */
  logit_bias: v.nullish(
    v.record(v.pipe(v.string(), v.digits('its keys are token ids')), v.pipe(v.number(), v.minValue(-100), v.maxValue(100))),
  ),
  allowed_token_ids: v.nullish(v.pipe(v.array(tokenId), v.minLength(1))),
  stop: v.nullish(v.union([v.string(), v.array(v.string())])),
  stop_token_ids: v.nullish(v.array(tokenId)),
  include_stop_str_in_output: flag(false),
  ignore_eos: flag(false),
  skip_special_tokens: flag(true),
  echo: flag(false),
  logprobs: v.nullish(v.pipe(count, v.maxValue(MAX_LOGPROBS))),
  prompt_logprobs: v.nullish(v.pipe(count, v.maxValue(MAX_LOGPROBS))),
  return_token_ids: flag(false),
  return_tokens_as_token_ids: flag(false),
  structured_outputs: v.nullish(structuredOutputsSchema),
  response_format: v.nullish(responseFormatSchema),
  /** Prompts share cached prefixes only with requests of the same salt. */
  cache_salt: v.nullish(v.pipe(v.string(), v.nonEmpty('must not be empty'))),
  /** Lower runs first. */
  priority: v.nullish(integer, 0),
  request_id: v.nullish(v.string()),
});

const embeddingSchema = v.object({
  input: v.union(
    [
      v.string(),
      v.pipe(v.array(v.string()), v.minLength(1)),
      v.pipe(v.array(tokenId), v.minLength(1)),
      v.pipe(v.array(v.pipe(v.array(tokenId), v.minLength(1))), v.minLength(1)),
    ],
    'must be a text, a list of token ids, or a list of either',
  ),
  encoding_format: v.nullish(v.picklist(['float', 'base64']), 'float'),
  dimensions: v.nullish(v.pipe(integer, v.minValue(1))),
  request_id: v.nullish(v.string()),
});

/** The body that is sent. */
export type CompletionInvocationInput = v.InferInput<typeof completionSchema>;
/** The body that was received, with its defaults filled in. */
export type CompletionInvocation = v.InferOutput<typeof completionSchema>;
export type EmbeddingInvocationInput = v.InferInput<typeof embeddingSchema>;
type EmbeddingInvocation = v.InferOutput<typeof embeddingSchema>;
export type StructuredOutputs = v.InferOutput<typeof structuredOutputsSchema>;

/** The request cannot be served as it is. `code` is the HTTP status. */
export class InvocationError extends Error {
  override readonly name = 'InvocationError';
  readonly code: number;
  readonly type: string;
  readonly param: string | null;
  constructor(message: string, options: { code?: number; type?: string; param?: string | null; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code ?? 400;
    this.type = options.type ?? (this.code === 404 ? 'NotFoundError' : this.code >= 500 ? 'InternalServerError' : 'BadRequestError');
    this.param = options.param ?? null;
  }
  /** The error as the wire shows it, in a body or in an event of a stream. */
  toBody(): InvocationErrorBody {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}

/** Reads the body of a completion. Throws an `InvocationError` that names the field at fault and never repeats its text. */
export function parseCompletionInvocation(body: unknown): CompletionInvocation {
  if (isRecord(body) && Array.isArray(body['prompt']) && body['prompt'].length === 0) {
    throw new InvocationError('You must pass at least one prompt', { param: 'prompt' });
  }
  return parseBody(completionSchema, body);
}

/** Reads the body of an embedding. Throws like `parseCompletionInvocation`. */
export function parseEmbeddingInvocation(body: unknown): EmbeddingInvocation {
  return parseBody(embeddingSchema, body);
}

function parseBody<Schema extends v.GenericSchema>(schema: Schema, body: unknown): v.InferOutput<Schema> {
  const result = v.safeParse(schema, body);
  if (result.success) return result.output;
  const [issue] = result.issues;
  // A key of a record is the caller's text, and valibot's own messages quote what they received: neither is repeated.
  const path = issue.path?.filter((item) => item.origin !== 'key').map((item) => String(item.key)) ?? [];
  const param = path.length === 0 ? null : path.join('.');
  const reason = issue.message.startsWith('Invalid ') ? `expected ${issue.expected}` : issue.message;
  throw new InvocationError(param === null ? `The body: ${reason}.` : `${param}: ${reason}.`, { param });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export interface InvocationErrorBody {
  readonly error: { readonly message: string; readonly type: string; readonly param: string | null; readonly code: number };
}

export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly total_tokens: number;
  /** Counts every generated id, the end-of-sequence id and ids of stop strings among them. */
  readonly completion_tokens: number;
  readonly prompt_tokens_details?: { readonly cached_tokens: number } | null;
}

/** Log-probabilities in the form of OpenAI's legacy completions; the lists run over the same tokens. */
export interface CompletionLogprobs {
  readonly text_offset: readonly number[];
  readonly token_logprobs: readonly (number | null)[];
  /** Texts, or `token_id:N` with `return_tokens_as_token_ids`. */
  readonly tokens: readonly string[];
  readonly top_logprobs: readonly (Readonly<Record<string, number>> | null)[];
}

/** For each prompt position: token id to its log-probability and rank; `null` for the first. */
export type PromptLogprobs = readonly (Readonly<
  Record<string, { readonly logprob: number; readonly rank: number; readonly decoded_token: string | null }>
> | null)[];

interface CompletionChoice {
  readonly index: number;
  /** Lags behind `token_ids` while a stop string or a character may still be incomplete: use one of the two, never both. */
  readonly text: string;
  readonly logprobs: CompletionLogprobs | null;
  readonly finish_reason: 'stop' | 'length' | null;
  /** The stop string or stop token id that ended the text; `null` for the end-of-sequence id. */
  readonly stop_reason: string | number | null;
  /** Only with `return_token_ids`: the ids of this chunk (of the whole text when not streamed). */
  readonly token_ids?: readonly number[] | null;
  /** Only with `return_token_ids`: in the first chunk of each choice, `null` in later ones. */
  readonly prompt_token_ids?: readonly number[] | null;
}

/** One event of a stream. The last before `[DONE]` may have no choices and carries the usage. */
export interface CompletionChunk {
  readonly id: string;
  readonly object: 'text_completion';
  readonly created: number;
  readonly model: string;
  readonly choices: readonly CompletionChoice[];
  /** Absent, not `null`, in chunks that carry none. */
  readonly usage?: CompletionUsage;
  readonly system_fingerprint?: string;
}

/** The whole answer when the request did not ask for a stream. */
export interface CompletionAnswer extends CompletionChunk {
  readonly choices: readonly (CompletionChoice & {
    readonly finish_reason: 'stop' | 'length';
    readonly prompt_logprobs: PromptLogprobs | null;
  })[];
  readonly usage: CompletionUsage;
  readonly system_fingerprint: string;
}

export interface EmbeddingAnswer {
  readonly id: string;
  readonly object: 'list';
  readonly created: number;
  readonly model: string;
  /** Numbers, or base64 of little-endian float32. */
  readonly data: readonly { readonly index: number; readonly object: 'embedding'; readonly embedding: readonly number[] | string }[];
  readonly usage: CompletionUsage;
}

const usageSchema = v.object({
  prompt_tokens: count,
  total_tokens: count,
  completion_tokens: v.nullish(count, 0),
  prompt_tokens_details: v.nullish(v.object({ cached_tokens: v.nullish(count, 0) })),
});

/** What a reader may rely on in a chunk, from ours, vLLM's and their kin; everything else is dropped. */
const chunkSchema = v.object({
  choices: v.array(
    v.object({
      index: count,
      text: v.string(),
      finish_reason: v.nullish(v.string(), null),
      stop_reason: v.nullish(v.union([v.string(), v.number()]), null),
      token_ids: v.nullish(v.array(tokenId)),
      logprobs: v.nullish(
        v.object({
          tokens: v.array(v.string()),
          token_logprobs: v.array(v.nullable(v.number())),
          top_logprobs: v.nullish(v.array(v.nullable(v.record(v.string(), v.number())))),
        }),
      ),
    }),
  ),
  usage: v.nullish(usageSchema),
});

const errorSchema = v.object({
  error: v.object({ message: v.string(), type: v.nullish(v.string(), ''), param: v.nullish(v.string()), code: v.nullish(v.unknown()) }),
});

/** What a reader may rely on in the whole answer to a scored prompt (`echo`, `max_tokens: 0`, `prompt_logprobs`). */
const scoresSchema = v.object({
  choices: v.array(
    v.object({
      index: count,
      prompt_logprobs: v.array(v.nullable(v.record(v.pipe(v.string(), v.digits()), v.object({ logprob: v.number() })))),
    }),
  ),
});

const embeddingsSchema = v.object({
  data: v.array(v.object({ index: count, embedding: v.pipe(v.string(), v.base64()) })),
  usage: usageSchema,
});

export type ReceivedScores = v.InferOutput<typeof scoresSchema>;
export type ReceivedEmbeddings = v.InferOutput<typeof embeddingsSchema>;

/** Reads the answer to scored prompts. Throws a plain `Error` that holds no text of it. */
export function parseScores(body: string): ReceivedScores {
  return parseAnswer(scoresSchema, body);
}

/** Reads the answer to an embedding with `encoding_format: 'base64'`. Throws a plain `Error` that holds no text of it. */
export function parseEmbeddings(body: string): ReceivedEmbeddings {
  return parseAnswer(embeddingsSchema, body);
}

function parseAnswer<Schema extends v.GenericSchema>(schema: Schema, body: string): v.InferOutput<Schema> {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    throw new Error(`the container sent an answer that is not JSON (${body.length} characters)`);
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  throw new Error(`the container sent an answer of another shape, at ${v.getDotPath(result.issues[0]) ?? 'its root'}`);
}

export type ReceivedChunk = v.InferOutput<typeof chunkSchema>;
export type CompletionEvent =
  | { readonly type: 'chunk'; readonly chunk: ReceivedChunk }
  /** `code` is the status that the refusal would have had; a stream that is refused for a full queue is HTTP 200 with this event. */
  | { readonly type: 'error'; readonly message: string; readonly code: number | undefined; readonly param: string | undefined }
  | { readonly type: 'done' };

/** Reads the data of one server-sent event. Throws a plain `Error` when it is none of the three; the message holds no text of it. */
export function parseCompletionEvent(data: string): CompletionEvent {
  if (data === DONE) return { type: 'done' };
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw new Error(`the container sent an event that is not JSON (${data.length} characters)`);
  }
  const error = parseInvocationErrorBody(value);
  if (error !== undefined) return { type: 'error', ...error };
  const chunk = v.safeParse(chunkSchema, value);
  if (chunk.success) return { type: 'chunk', chunk: chunk.output };
  throw new Error(`the container sent an event of another shape, at ${v.getDotPath(chunk.issues[0]) ?? 'its root'}`);
}

/** Reads an error body: `undefined` when the value is none. */
export function parseInvocationErrorBody(
  value: unknown,
): { readonly message: string; readonly code: number | undefined; readonly param: string | undefined } | undefined {
  const result = v.safeParse(errorSchema, value);
  if (!result.success) return undefined;
  const { message, code, param } = result.output.error;
  return { message, code: typeof code === 'number' ? code : undefined, param: param ?? undefined };
}

/** Frames one server-sent event. JSON has no raw line break, so one `data:` line is enough. */
export function encodeEvent(value: CompletionChunk | InvocationErrorBody | typeof DONE): string {
  return `data: ${value === DONE ? DONE : JSON.stringify(value)}\n\n`;
}
