import type { HeadName } from '../../layers/safety/heads/linear-heads.ts';

/** Chosen on held-out groups. Where a source is noisy (tweets) or all of one mould (HateCheck) it counts little for what it labels. */
const forAbuse: Readonly<Record<string, number>> = { 'openai-moderation': 2, 'benign-prompts': 3, davidson: 0.05, hatecheck: 0.05 };
const forRequests: Readonly<Record<string, number>> = {
  advbench: 2,
  harmbench: 2,
  'benign-prompts': 3,
  davidson: 0.1,
  hatecheck: 0.2,
  'request-words': 0.3,
};
/** Ordinary text of many kinds counts more than its number: false alarms are what hurts. */
const forInjection: Readonly<Record<string, number>> = {
  'openai-moderation': 4,
  'benign-prompts': 3,
  wikipedia: 2,
  code: 2,
  davidson: 0.3,
  hatecheck: 0.2,
  'pyrit-templates': 0.2,
  'in-the-wild': 0.5,
  dan: 0.5,
};

/** How much an example of the source counts for the head. */
export function sourceWeight(source: string, head: HeadName): number {
  const weights = head === 'prompt_injection' ? forInjection : head.startsWith('illicit') ? forRequests : forAbuse;
  return weights[source] ?? 1;
}
