/**
 * Classification by what the model would say next. Each text is put in front of every label, and the labels are compared by how likely the model
 * finds them there. Nothing depends on the order in which labels and examples were given: both are sorted first.
 */

import type { Tokenizer } from '../../../../layers/tokenizer/index.ts';
import { InvalidRequestError } from '../../errors.ts';

export interface ClassificationTask {
  readonly labels: readonly string[];
  /** What is decided, as the first line of the prompt. */
  readonly instruction: string;
  readonly examples: readonly { readonly input: string; readonly label: string }[];
}

/** A prompt that ends with an answer, and how many tokens at its end are the answer's. */
export interface AnsweredPrompt {
  readonly tokenIds: readonly number[];
  readonly answerLength: number;
}

/** What has no content has no class: what the model says of it is its prejudice. Zhao et al. 2021, https://arxiv.org/abs/2102.09690 */
export const CONTENT_FREE = ['N/A', '[MASK]', ''] as const;

const YES_NO = ['no', 'yes'] as const;

/** For each answer, the text's prompt with it: all share the longest beginning that they can, so that a prefix cache serves them. */
export function labelPrompts(tokenizer: Tokenizer, task: ClassificationTask, input: string): readonly AnsweredPrompt[] {
  const shots = sortedExamples(task).map(({ input: text, label }) => `Text: ${text}\nLabel: ${label}\n\n`);
  const prefix = [...tokenizer.encode(`${task.instruction}\n\n${shots.join('')}Text: ${input}\nLabel:`)];
  return task.labels.map((label) => answer(tokenizer, prefix, label));
}

/** The same for one label alone: does it apply? The answers are no and yes, in this order. */
export function applicabilityPrompts(
  tokenizer: Tokenizer,
  task: ClassificationTask,
  label: string,
  input: string,
): readonly AnsweredPrompt[] {
  const shots = sortedExamples(task).map(
    (example) => `Text: ${example.input}\n${question(label)} ${example.label === label ? 'yes' : 'no'}\n\n`,
  );
  const prefix = [...tokenizer.encode(`${task.instruction}\n\n${shots.join('')}Text: ${input}\n${question(label)}`)];
  return YES_NO.map((word) => answer(tokenizer, prefix, word));
}

function question(label: string): string {
  return `Is it "${label}"?`;
}

/** Encoded apart from the prompt, so that the prompt's own tokens are the same for every answer. */
function answer(tokenizer: Tokenizer, prefix: readonly number[], text: string): AnsweredPrompt {
  const tokenIds = tokenizer.encode(` ${text}`);
  if (tokenIds.length === 0) throw new InvalidRequestError("'labels' has a label without a token.", { param: 'labels' });
  return { tokenIds: [...prefix, ...tokenIds], answerLength: tokenIds.length };
}

function sortedExamples({ examples }: ClassificationTask) {
  const key = ({ input, label }: { input: string; label: string }) => `${input}\u0000${label}`;
  return [...examples].sort((one, other) => (key(one) < key(other) ? -1 : key(one) > key(other) ? 1 : 0));
}
