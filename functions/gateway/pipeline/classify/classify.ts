import { ContextLengthExceededError } from '../../errors.ts';
import type { LoadedModel } from '../../served-models.ts';
import type { PromptLogprobs } from '../../services.ts';
import { answerScore, calibrate } from './calibrate.ts';
import { type AnsweredPrompt, applicabilityPrompts, type ClassificationTask, CONTENT_FREE, labelPrompts } from './label-prompts.ts';

export interface Classification {
  /** Label by label in the task's order. They sum to 1, unless each label was decided by itself. */
  readonly probabilities: readonly number[];
}

export interface ClassificationPlan {
  /** Everything that the model has to score, in groups of prompts with the same beginning. */
  readonly groups: readonly (readonly AnsweredPrompt[])[];
  readonly promptTokens: number;
  /** @param scores of each group, in the order of its prompts. */
  read(scores: readonly (readonly PromptLogprobs[])[]): readonly Classification[];
}

/**
 * Lays out what has to be scored for these texts.
 * @param decideEach each label applies or not, whatever the others do.
 * @throws {ContextLengthExceededError} a text does not fit.
 */
export function planClassification(
  model: LoadedModel,
  task: ClassificationTask,
  inputs: readonly string[],
  decideEach: boolean,
): ClassificationPlan {
  const { tokenizer } = model;
  /** What one text needs: one group, or one for each label. */
  const groupsFor = (input: string) =>
    decideEach ? task.labels.map((label) => applicabilityPrompts(tokenizer, task, label, input)) : [labelPrompts(tokenizer, task, input)];
  const texts = [...CONTENT_FREE, ...inputs];
  const groups = texts.flatMap(groupsFor);
  checkLengths(model, groups);
  const groupsPerText = groups.length / texts.length;
  return {
    groups,
    promptTokens: groups.flat().reduce((sum, prompt) => sum + prompt.tokenIds.length, 0),
    read(scores) {
      const answers = groups.map((group, index) =>
        group.map((prompt, position) => answerScore(scores[index]?.[position] ?? [], prompt.answerLength)),
      );
      const of = (text: number, group: number) => answers[text * groupsPerText + group] ?? [];
      return inputs.map((_, index) => {
        const calibrated = Array.from({ length: groupsPerText }, (_, group) =>
          calibrate(
            of(CONTENT_FREE.length + index, group),
            CONTENT_FREE.map((_, text) => of(text, group)),
          ),
        );
        return { probabilities: decideEach ? calibrated.map(([, yes]) => yes ?? 0) : (calibrated[0] ?? []) };
      });
    },
  };
}

function checkLengths({ served }: LoadedModel, groups: readonly (readonly AnsweredPrompt[])[]): void {
  const longest = Math.max(...groups.flat().map((prompt) => prompt.tokenIds.length));
  // An endpoint that scores makes room for one more token.
  if (longest < served.contextLength) return;
  throw new ContextLengthExceededError(
    `This model's maximum context length is ${served.contextLength} tokens, but an \`input\` with its labels and examples has ${longest}. Shorten it.`,
    'input',
  );
}
