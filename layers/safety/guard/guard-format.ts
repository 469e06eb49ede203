import type { Scores } from '../categories.ts';
import type { Direction } from '../policy.ts';
import type { TextClassifier } from '../text-classifier.ts';

/** How a guard model is asked and what its answer means. The model's own chat template renders the messages. */
export interface GuardFormat {
  readonly name: string;
  messages(text: string, direction: Direction): readonly { readonly role: 'user' | 'assistant'; readonly content: string }[];
  /** A score for every category that the model knows: 0 where it saw nothing.
   * @throws {GuardAnswerError} the answer is none that this model gives */
  parse(answer: string): Scores;
}

/** A guard model said something else than its format allows. Holds nothing of the answer: it may repeat the text. */
export class GuardAnswerError extends Error {
  override readonly name = 'GuardAnswerError';
  constructor(format: string) {
    super(`The guard model did not answer in the form of ${format}. Check that the endpoint serves that model.`);
  }
}

/** Generates the answer of a guard model, deterministically, at most some sixty tokens. A driver knows the endpoint. */
export type CompleteGuardPrompt = (messages: ReturnType<GuardFormat['messages']>, signal?: AbortSignal) => Promise<string>;

/** A guard model as a classifier. The bands say when it is asked. */
export function createGuardClassifier(
  format: GuardFormat,
  complete: CompleteGuardPrompt,
  options: { readonly bands: TextClassifier['bands']; readonly direction: Direction },
): TextClassifier {
  return {
    name: format.name,
    bands: options.bands,
    async classify(text, signal) {
      return format.parse(await complete(format.messages(text, options.direction), signal));
    },
  };
}
