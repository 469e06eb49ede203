import { ContextLengthExceededError } from '../../errors.ts';
import type { LoadedModel } from '../../served-models.ts';
import type { PromptLogprobs } from '../../services.ts';
import { answerScore, calibrate } from './calibrate.ts';
import { type AnsweredPrompt, applicabilityPrompts, type ClassificationTask, CONTENT_FREE, labelPrompts } from './label-prompts.ts';
import type { Prior } from './prior-cache.ts';

export interface Classification {
  /** Label by label in the task's order. They sum to 1, unless each label was decided by itself. */
  readonly probabilities: readonly number[];
}

export interface ClassificationPlan {
  /** Everything that the model has to score: prompts with the same beginning stand together. */
  readonly prompts: readonly AnsweredPrompt[];
  readonly promptTokens: number;
  /** @param scores of each prompt. */
  read(scores: readonly PromptLogprobs[]): { readonly classifications: readonly Classification[]; readonly prior: Prior };
}

/**
 * Lays out what has to be scored for these texts.
 * @param decideEach each label applies or not, whatever the others do.
 * @param known the task's prior, when it was scored before.
 * @throws {ContextLengthExceededError} a text does not fit.
 */
export function planClassification(
  model: LoadedModel,
  task: ClassificationTask,
  inputs: readonly string[],
  decideEach: boolean,
  known?: Prior,
): ClassificationPlan {
  const { tokenizer } = model;
  /** What one text needs: its answers once, or twice for each label. */
  const promptsFor = (input: string) =>
    decideEach ? task.labels.flatMap((label) => applicabilityPrompts(tokenizer, task, label, input)) : labelPrompts(tokenizer, task, input);
  const answers = decideEach ? 2 : task.labels.length;
  const prompts = [...(known === undefined ? CONTENT_FREE : []), ...inputs].map(promptsFor);
  checkLengths(model, prompts.flat());
  return {
    prompts: prompts.flat(),
    promptTokens: prompts.flat().reduce((sum, prompt) => sum + prompt.tokenIds.length, 0),
    read(scores) {
      let next = 0;
      const scored = prompts.map((text) => text.map(({ answerLength }) => answerScore(scores[next++] ?? [], answerLength)));
      const prior = known ?? scored.slice(0, CONTENT_FREE.length);
      const classifications = scored.slice(-inputs.length).map((text) => {
        const groups = Array.from({ length: text.length / answers }, (_, group) => {
          const of = (all: readonly number[]) => all.slice(group * answers, (group + 1) * answers);
          return calibrate(of(text), prior.map(of));
        });
        return { probabilities: decideEach ? groups.map(([, yes]) => yes ?? 0) : (groups[0] ?? []) };
      });
      return { classifications, prior };
    },
  };
}

function checkLengths({ served }: LoadedModel, prompts: readonly AnsweredPrompt[]): void {
  const longest = Math.max(...prompts.map((prompt) => prompt.tokenIds.length));
  // An endpoint that scores makes room for one more token.
  if (longest < served.contextLength) return;
  throw new ContextLengthExceededError(
    `This model's maximum context length is ${served.contextLength} tokens, but an \`input\` with its labels and examples has ${longest}. Shorten it.`,
    'input',
  );
}
