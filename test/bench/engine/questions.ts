import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compileChatTemplate, loadTokenizer } from '../../../layers/tokenizer/index.ts';
import { MODEL_FILES } from '../../../models/local/convert/model-folder.ts';
import { openRealModel } from '../../support/real-model.ts';

const QUESTIONS = [
  'What is gravity?',
  'Write a short poem about the sea.',
  'Give me a recipe for pancakes.',
  'Write a Python function that sorts a list of numbers with bubble sort.',
  'Write an email to my boss asking for a day off.',
  'Tell me a story about a dragon and a knight.',
];

/** Token ids of questions whose answers are long, as the model's chat template writes them. */
export async function readQuestions(): Promise<number[][]> {
  const model = await openRealModel('fast');
  const tokenizer = loadTokenizer(await readFile(join(model.path, MODEL_FILES.vocabulary)));
  const template = compileChatTemplate(await readFile(join(model.path, MODEL_FILES.chatTemplate), 'utf8'), tokenizer);
  const ask = (content: string) => template.encode({ messages: [{ role: 'user', content }], addGenerationPrompt: true });
  return QUESTIONS.map((question) => [...ask(question)]);
}
