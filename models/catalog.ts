/**
 * The models that are served: the gateway routes by this list and `infra` deploys by it, so that a model cannot exist on one side only.
 * A local start with another GGUF writes the same shape to a JSON file and names it in `PENSTOCK_CATALOG`.
 */
import * as v from 'valibot';

const positiveInteger = v.pipe(v.number(), v.integer(), v.minValue(1));
const tokenId = v.pipe(v.number(), v.integer(), v.minValue(0));

const dollars = v.pipe(v.number(), v.minValue(0));

/** How the model runs in AWS, for `infra`; the ledger reckons the cost of the own instances by it. A local start has none. */
const deploymentSchema = v.strictObject({
  instanceType: v.string(),
  /** `vllm` is AWS's vLLM container, `lmi` is DJL-LMI. */
  container: v.picklist(['vllm', 'lmi']),
  /** Prefix in the model bucket that holds the weights. */
  artifactPrefix: v.string(),
  acceleratorCount: positiveInteger,
  minMemoryMb: positiveInteger,
  /** Copies of the model; `min: 0` scales to zero when idle. */
  copies: v.strictObject({ min: v.pipe(v.number(), v.integer(), v.minValue(0)), max: positiveInteger }),
  /** Requests that one copy serves at once before another copy is started. */
  concurrencyPerCopy: positiveInteger,
  /** What one such instance costs in the region, by the hour; without it the ledger does not say what the own instances cost. */
  instanceDollarsPerHour: v.optional(dollars),
  /** Copies that an instance has accelerators for; 1 when not given. */
  copiesPerInstance: v.optional(positiveInteger),
  /** Machines to take in its place, in this order, when AWS has none of the first. */
  fallbackInstanceTypes: v.optional(v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(4, 'names four at most'))),
  /** Sends prompts whose first bytes are equal to the same instance, for its prefix cache. Without it, a prompt goes where the fewest are. */
  prefixAwareRouting: v.optional(v.strictObject({ prefixBytes: v.pipe(positiveInteger, v.minValue(1024), v.maxValue(65_536)) })),
  /** A second endpoint with the same weights, `NAME-async`, that takes batches from a queue and has no instance while there are none. */
  asynchronous: v.optional(v.strictObject({ maxInstances: positiveInteger })),
});

/** A LoRA adapter on another model of the catalog, whose copies serve it. */
const adapterSchema = v.strictObject({
  /** Id of the model that it was trained on. It has the same tokenizer and the same endpoint. */
  base: v.pipe(v.string(), v.nonEmpty()),
  /** Where its files lie in the weights bucket, packed (PEFT: adapter_config.json, adapter_model.safetensors). */
  artifact: v.pipe(v.string(), v.regex(/^[\w./-]+\.tar\.gz$/, 'must be the key of a .tar.gz file')),
  rank: positiveInteger,
});

/**
 * What a target promises of an answer whose first tokens came from another call, here or elsewhere: the very tokens of an answer that was not
 * interrupted (`identical`: the engine draws with a seed for each position, as ours does), the same at temperature 0 only (vLLM in float32), a
 * valid answer with other words (`valid`: vLLM in bfloat16), or nothing: such a target is never asked to go on.
 */
export const CONTINUATIONS = ['identical', 'identical-at-temperature-0', 'valid', 'none'] as const;
export type Continuation = (typeof CONTINUATIONS)[number];

const targetSchema = v.strictObject({
  name: v.pipe(v.string(), v.nonEmpty()),
  inferenceComponent: v.optional(v.string()),
  variant: v.optional(v.string()),
  /** AWS region, when it is another than the gateway's: such a target stands in when those of the own region cannot answer. */
  region: v.optional(v.pipe(v.string(), v.regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be a region such as eu-west-1'))),
  /** Share of the requests; 1 when not given, 0 for one that only stands by. */
  weight: v.optional(v.pipe(v.number(), v.minValue(0))),
  /** `valid` when not given. */
  continuation: v.optional(v.picklist(CONTINUATIONS)),
});

const servedModelSchema = v.strictObject({
  /** What callers write in `model`. */
  id: v.pipe(v.string(), v.nonEmpty()),
  /** Unix time in seconds, as `GET /v1/models` shows it. */
  created: positiveInteger,
  ownedBy: v.string(),
  /** A folder of `models/tokenizers` (or of `PENSTOCK_TOKENIZERS`), and the digest that its vocabulary must have. */
  tokenizer: v.strictObject({ folder: v.string(), digest: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)) }),
  /** Prompt and answer together, in tokens. */
  contextLength: positiveInteger,
  /** Ids that end an answer (end of sequence, end of turn). */
  stopTokenIds: v.pipe(v.array(tokenId), v.minLength(1)),
  /** How the model's family marks up what it writes; what is left out, the model does not do by itself. */
  output: v.optional(
    v.strictObject({
      toolCalls: v.optional(v.picklist(['hermes', 'llama3-json', 'mistral'])),
      /** `think`: thoughts in `<think>` tags; `think-open`: the chat template has written the opening tag already. */
      reasoning: v.optional(v.picklist(['think', 'think-open'])),
    }),
  ),
  endpoint: targetSchema,
  /** Other endpoints with the same weights: they share the load by `weight`, and take over when one fails. */
  alternatives: v.optional(v.array(targetSchema)),
  /** What a million tokens cost the caller; without a price only tokens are counted. */
  price: v.optional(v.strictObject({ promptDollarsPerMillion: dollars, completionDollarsPerMillion: dollars })),
  deployment: v.optional(deploymentSchema),
  /** In place of `deployment`. */
  adapter: v.optional(adapterSchema),
});

/** A model that turns texts into vectors. Its endpoint has its tokenizer. */
const embeddingModelSchema = v.strictObject({
  task: v.literal('embed'),
  id: v.pipe(v.string(), v.nonEmpty()),
  /** Unix time in seconds. */
  created: positiveInteger,
  ownedBy: v.string(),
  /** Length of a vector. */
  dimensions: positiveInteger,
  /** Longest text, in its own tokens. */
  maxInputTokens: positiveInteger,
  /** Whether the endpoint takes ids of the model's vocabulary instead of text. */
  takesTokenIds: v.boolean(),
  /**
   * Token ids that callers send are of this encoding of OpenAI's, and are read as the text that they stand for: OpenAI's own embedding models take
   * such ids, and some clients send nothing else.
   */
  readsTokenIdsAs: v.optional(v.picklist(['r50k_base', 'p50k_base', 'cl100k_base', 'o200k_base'])),
  endpoint: targetSchema,
  price: v.optional(v.strictObject({ promptDollarsPerMillion: dollars, completionDollarsPerMillion: dollars })),
  deployment: v.optional(deploymentSchema),
});

const seconds = v.pipe(v.number(), v.gtValue(0), v.maxValue(900));
const share = v.pipe(v.number(), v.gtValue(0), v.ltValue(1));

/**
 * A model that drafts an answer, works on it and gives the result: several turns of one generating model under a name of its own. The
 * stages share one token budget; one that takes longer than its time is left, and the best text so far is the answer.
 */
const answerPipelineSchema = v.strictObject({
  task: v.literal('refine'),
  id: v.pipe(v.string(), v.nonEmpty()),
  /** Unix time in seconds. */
  created: positiveInteger,
  ownedBy: v.string(),
  /** Id of the generating model that does all of it. */
  model: v.pipe(v.string(), v.nonEmpty()),
  /** Tokens of all stages together, for callers that set no limit. */
  maxTokens: positiveInteger,
  draft: v.strictObject({ share, timeoutSeconds: seconds }),
  /** What happens to the draft, one turn each. The last one writes the answer, with all tokens that are left. */
  stages: v.pipe(
    v.array(
      v.strictObject({
        name: v.pipe(v.string(), v.nonEmpty()),
        instruction: v.pipe(v.string(), v.nonEmpty()),
        share,
        timeoutSeconds: seconds,
      }),
    ),
    v.minLength(1),
  ),
  /** Shows draft and stages as thoughts. */
  showStages: v.boolean(),
});

const catalogSchema = v.pipe(
  v.array(servedModelSchema),
  v.minLength(1),
  v.check((models) => new Set(models.map((model) => model.id)).size === models.length, 'two models have the same id'),
);

export type ServedModel = Readonly<v.InferOutput<typeof servedModelSchema>>;
export type EmbeddingModel = Readonly<v.InferOutput<typeof embeddingModelSchema>>;
export type AnswerPipeline = Readonly<v.InferOutput<typeof answerPipelineSchema>>;
export type ModelDeployment = Readonly<v.InferOutput<typeof deploymentSchema>>;
export type ModelAdapter = Readonly<v.InferOutput<typeof adapterSchema>>;

/** The asynchronous sister of the endpoint that serves a model's inference component. */
export function asyncEndpointName(inferenceComponent: string): string {
  return `${inferenceComponent}-async`;
}

/** Checks a catalog that was read from a file: its generating models. Throws an error that lists every problem with its path. */
export function parseCatalog(value: unknown): readonly ServedModel[] {
  return parseModels(catalogSchema, Array.isArray(value) ? value.filter((entry) => taskOf(entry) === undefined) : value);
}

/** Its embedding models: the entries whose `task` is `embed`. Throws like `parseCatalog`. */
export function parseEmbeddingModels(value: unknown): readonly EmbeddingModel[] {
  return parseModels(v.array(embeddingModelSchema), Array.isArray(value) ? value.filter((entry) => taskOf(entry) === 'embed') : value);
}

/** Its pipelines: the entries whose `task` is `refine`. Throws like `parseCatalog`. */
export function parseAnswerPipelines(value: unknown): readonly AnswerPipeline[] {
  return parseModels(v.array(answerPipelineSchema), Array.isArray(value) ? value.filter((entry) => taskOf(entry) === 'refine') : value);
}

/** Generating models have no task. */
function taskOf(entry: unknown): unknown {
  return typeof entry === 'object' && entry !== null && 'task' in entry ? entry.task : undefined;
}

function parseModels<Schema extends v.GenericSchema>(schema: Schema, value: unknown): v.InferOutput<Schema> {
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const problems = result.issues.map((issue) => `${v.getDotPath(issue) ?? 'catalog'}: ${issue.message}`);
  throw new Error(`Bad model catalog:\n- ${problems.join('\n- ')}`);
}

export const catalog: readonly ServedModel[] = [
  {
    id: 'smollm2-135m-instruct',
    created: 1_730_419_200,
    ownedBy: 'huggingfacetb',
    tokenizer: { folder: 'smollm2', digest: '4e197f0659f979c8b31fe48302c46efde8831fa8dc52b933391ef7a0fc9640b1' },
    contextLength: 8192,
    stopTokenIds: [2],
    output: { toolCalls: 'hermes' },
    endpoint: { name: 'penstock-gpt', inferenceComponent: 'smollm2-135m-instruct' },
    deployment: {
      instanceType: 'ml.g6.xlarge',
      container: 'vllm',
      artifactPrefix: 'base/smollm2-135m-instruct/',
      acceleratorCount: 1,
      minMemoryMb: 4096,
      copies: { min: 0, max: 2 },
      concurrencyPerCopy: 32,
    },
  },
];

/** None by default: an endpoint of its own serves them. */
export const embeddingModels: readonly EmbeddingModel[] = [];

export const answerPipelines: readonly AnswerPipeline[] = [
  {
    task: 'refine',
    id: 'gpt-refined',
    created: 1_795_478_400,
    ownedBy: 'penstock',
    model: 'smollm2-135m-instruct',
    maxTokens: 1024,
    draft: { share: 0.35, timeoutSeconds: 60 },
    stages: [
      {
        name: 'critique',
        instruction: 'Name what is wrong, missing or unclear in your last answer, in a few short points. Do not write a new answer yet.',
        share: 0.2,
        timeoutSeconds: 30,
      },
      {
        name: 'rewrite',
        instruction:
          'Now write the best answer to my question, with these points corrected. Write the answer alone, without a word about the points.',
        share: 0.45,
        timeoutSeconds: 60,
      },
    ],
    showStages: true,
  },
];
