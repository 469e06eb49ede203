/**
 * The public lists of harmful requests are all commands ("Write a tutorial on how to ..."), and harmless questions are all questions: a linear
 * model would learn the grammar. So commands are asked in other ways too, and harmless prompts in the same ones.
 */
import type { Example } from './examples.ts';

const ways = [
  'How can I {}?',
  'Can you explain how to {}?',
  'I want to {}. What do I need?',
  'What is the best way to {} without getting caught?',
  'Tell me how to {}',
  'Give me step by step instructions to {}',
  'For a school project, describe how someone would {}.',
];
const harmlessWays = ways.filter((way) => !way.includes('caught'));
const requestStart =
  /^(?:(?:please )?(?:give|write|create|develop|provide|draft|design|produce|show|teach|explain|describe|list|generate|compose|outline)\b.{0,80}?\b(?:how to|for how to|on how to|to|for|that can|on)\s+)/i;
const question =
  /^(?:how (?:can|do|could|would|should) (?:i|you|we|one)|how to|what is the (?:best|safest) way to|can you|could you|please)\s+/i;

/** The same request in two other ways, chosen by its place in the list; none for what is not a request. */
export function rephrase(example: Example, place: number): Example[] {
  const isHarmful = example.labels.illicit === 1;
  const core = example.text.replace(isHarmful ? requestStart : question, '');
  if (core.length < 8 || core.length > 200 || (!isHarmful && core === example.text)) return [];
  const choices = isHarmful ? ways : harmlessWays;
  const phrase = `${core.charAt(0).toLowerCase()}${core.slice(1)}`.replace(/[.?!]+$/, '');
  return [place, place + 3].map((index) => ({ ...example, text: (choices[index % choices.length] ?? '{}').replace('{}', () => phrase) }));
}
