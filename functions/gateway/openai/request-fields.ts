/** Fields that the paths share, with OpenAI's ranges. https://platform.openai.com/docs/api-reference/chat/create */
import * as v from 'valibot';
import type { GenerationRequest } from '../pipeline/generation-request.ts';
import type { SamplingOptions } from '../services.ts';

const between = (least: number, most: number) =>
  v.pipe(v.number('must be a number.'), v.minValue(least, `must be at least ${least}.`), v.maxValue(most, `must be at most ${most}.`));
export const integerBetween = (least: number, most: number) =>
  v.pipe(
    v.number('must be an integer.'),
    v.integer('must be an integer.'),
    v.minValue(least, `must be at least ${least}.`),
    v.maxValue(most, `must be at most ${most}.`),
  );
export const boolean = v.boolean('must be true or false.');
export const string = v.string('must be a string.');
export const nullish = <Schema extends v.GenericSchema>(schema: Schema) => v.optional(v.nullable(schema));

/** One of several forms, chosen by a look at the value, so that what is wrong inside is named: of a plain union only the whole would be. */
export function oneOf<const Forms extends readonly v.GenericSchema[]>(forms: Forms, choose: (value: unknown) => Forms[number]) {
  const union = v.union(forms);
  const run: (typeof union)['~run'] = (dataset, config) =>
    // One of the forms, so what it gives is what the union gives.
    choose(dataset.value)['~run'](dataset, config) as ReturnType<(typeof union)['~run']>;
  return { ...union, '~run': run };
}

/** A field that is known and not served: the sentence says what to do instead. */
export const refused = (why: string) => nullish(v.never(why));

export const metadata = v.pipe(
  v.record(
    v.pipe(string, v.maxLength(64, 'keys have at most 64 characters.')),
    v.pipe(string, v.maxLength(512, 'values have at most 512 characters.')),
    'must be an object of strings.',
  ),
  v.check((pairs) => Object.keys(pairs).length <= 16, 'takes at most 16 pairs.'),
);

export const serviceTier = v.picklist(
  ['auto', 'default', 'flex', 'scale', 'priority'],
  'must be one of auto, default, flex, scale, priority.',
);

const MAX_TOKEN_ID = 2 ** 31 - 1;
export const MAX_TOKENS = MAX_TOKEN_ID;
/** Seeds are 64-bit at OpenAI; a JSON number is exact up to 2^53. */
const MAX_SEED = Number.MAX_SAFE_INTEGER;

const stop = v.union(
  [string, v.pipe(v.array(string), v.maxLength(4, 'takes at most 4 sequences.'))],
  'must be a string or an array of at most 4 strings.',
);

const logitBias = v.pipe(
  v.record(
    v.pipe(string, v.regex(/^\d{1,9}$/, 'must have token ids as keys.')),
    between(-100, 100),
    'must be an object of token ids and biases.',
  ),
  v.check((bias) => Object.keys(bias).length <= 1024, 'takes at most 1024 tokens.'),
);

export const maxTokens = integerBetween(1, MAX_TOKEN_ID);

export const generationFields = {
  model: v.pipe(string, v.nonEmpty('must name a model; `GET /v1/models` lists them.')),
  stream: nullish(boolean),
  stream_options: nullish(v.strictObject({ include_usage: nullish(boolean), include_obfuscation: nullish(boolean) }, 'must be an object.')),
  n: nullish(integerBetween(1, 128)),
  temperature: nullish(between(0, 2)),
  top_p: nullish(between(0, 1)),
  frequency_penalty: nullish(between(-2, 2)),
  presence_penalty: nullish(between(-2, 2)),
  logit_bias: nullish(logitBias),
  seed: nullish(integerBetween(-MAX_SEED, MAX_SEED)),
  stop: nullish(stop),
  /** The caller's own user: what is kept of one can be deleted at once. */
  user: nullish(string),
  safety_identifier: nullish(string),
  /** A hint for caches: prefixes are found by their tokens here. */
  prompt_cache_key: nullish(string),
  /** Not OpenAI's: vLLM's and most open servers' name for the same thing. */
  top_k: nullish(integerBetween(-1, MAX_TOKEN_ID)),
};

type SamplingFields = Partial<
  Pick<GenerationFields, 'temperature' | 'top_p' | 'top_k' | 'seed' | 'frequency_penalty' | 'presence_penalty' | 'logit_bias'>
>;
type GenerationFields = v.InferOutput<v.StrictObjectSchema<typeof generationFields, undefined>>;

export function readSampling(body: SamplingFields): SamplingOptions {
  const topK = body.top_k ?? 0;
  const bias = Object.entries(body.logit_bias ?? {});
  return {
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    ...(topK > 0 ? { topK } : {}),
    ...(typeof body.seed === 'number' ? { seed: body.seed } : {}),
    ...(body.frequency_penalty ? { frequencyPenalty: body.frequency_penalty } : {}),
    ...(body.presence_penalty ? { presencePenalty: body.presence_penalty } : {}),
    ...(bias.length > 0 ? { logitBias: new Map(bias.map(([tokenId, value]) => [Number(tokenId), value])) } : {}),
  };
}

export function readStop(body: GenerationFields): readonly string[] {
  const sequences = typeof body.stop === 'string' ? [body.stop] : (body.stop ?? []);
  return sequences.filter((sequence) => sequence !== '');
}

/** For whom a request is, under each name that it has. */
export function readEndUsers({ user, safety_identifier: safetyIdentifier }: Readonly<Record<string, unknown>>): readonly string[] {
  return [...new Set([user, safetyIdentifier])].filter((name): name is string => typeof name === 'string' && name !== '');
}

/** How a caller wants the answer delivered. */
export interface Delivery {
  readonly stream: boolean;
  readonly includeUsage: boolean;
  /** Whether each delta hides its length. */
  readonly obfuscate: boolean;
}

export function readDelivery(body: GenerationFields): Delivery {
  return {
    stream: body.stream ?? false,
    includeUsage: body.stream_options?.include_usage ?? false,
    obfuscate: body.stream_options?.include_obfuscation ?? true,
  };
}

/** A request with the way its answer is to be delivered. */
export interface ParsedRequest {
  readonly request: GenerationRequest;
  readonly delivery: Delivery;
}
