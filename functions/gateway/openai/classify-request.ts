/** `POST /v1/classify`, in: vLLM's path, with labels that the caller names. */
import * as v from 'valibot';
import { InvalidRequestError } from '../errors.ts';
import type { ClassificationTask } from '../pipeline/classify/label-prompts.ts';
import { parseBody } from './parse-body.ts';
import { boolean, generationFields, nullish, oneOf, string } from './request-fields.ts';

const label = v.pipe(
  string,
  v.trim(),
  v.minLength(1, 'must not be empty.'),
  v.maxLength(200, 'has at most 200 characters.'),
  v.regex(/^[^\r\n]*$/, 'must be one line.'),
);
const texts = v.pipe(
  v.array(string, 'must be a string or an array of strings.'),
  v.minLength(1, 'must have at least one text.'),
  v.maxLength(256, 'takes at most 256 texts.'),
);

export const classifySchema = v.strictObject({
  model: generationFields.model,
  input: oneOf([string, texts], (value) => (typeof value === 'string' ? string : texts)),
  labels: nullish(
    v.pipe(
      v.array(label, 'must be an array of strings.'),
      v.minLength(2, 'must have at least 2 labels.'),
      v.maxLength(64, 'takes at most 64 labels.'),
      v.check((labels) => new Set(labels).size === labels.length, 'has a label twice.'),
    ),
  ),
  task: nullish(v.picklist(['sentiment'], 'must be `sentiment`.')),
  /** What is decided, in the caller's words. */
  instruction: nullish(v.pipe(string, v.trim(), v.minLength(1, 'must not be empty.'), v.maxLength(2000, 'has at most 2000 characters.'))),
  examples: nullish(
    v.pipe(
      v.array(v.strictObject({ input: string, label }, 'must be an object with `input` and `label`.'), 'must be an array of examples.'),
      v.maxLength(64, 'takes at most 64 examples.'),
    ),
  ),
  multi_label: nullish(boolean),
  user: nullish(string),
});

export interface ClassifyRequest {
  readonly modelId: string;
  readonly inputs: readonly string[];
  readonly task: ClassificationTask;
  /** Labels in the order in which the caller gave them, which is the answer's. */
  readonly labels: readonly string[];
  /** Each label applies or not, whatever the others do. */
  readonly decideEach: boolean;
}

const SENTIMENTS = ['negative', 'positive'];

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseClassifyRequest(body: unknown): ClassifyRequest {
  const parsed = parseBody(classifySchema, body);
  const labels = parsed.labels ?? (parsed.task === 'sentiment' ? SENTIMENTS : undefined);
  if (labels === undefined) {
    throw new InvalidRequestError("Missing required parameter: 'labels'. Send at least 2 labels, or set 'task' to `sentiment`.", {
      param: 'labels',
    });
  }
  const examples = parsed.examples ?? [];
  const stray = examples.findIndex((example) => !labels.includes(example.label));
  if (stray >= 0)
    throw new InvalidRequestError("Invalid value for 'examples': its label is not among the labels.", { param: `examples.${stray}.label` });
  // The order in which labels come says nothing, so the model does not see it.
  const sorted = [...labels].sort();
  const subject = parsed.task === 'sentiment' ? 'sentiment' : 'label';
  const instruction = parsed.instruction ?? `Decide the ${subject} of each text: ${sorted.join(', ')}.`;
  return {
    modelId: parsed.model,
    inputs: typeof parsed.input === 'string' ? [parsed.input] : parsed.input,
    task: { labels: sorted, instruction, examples },
    labels,
    decideEach: parsed.multi_label ?? false,
  };
}
