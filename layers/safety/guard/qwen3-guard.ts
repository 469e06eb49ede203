import type { ClassifiedCategory } from '../categories.ts';
import { GuardAnswerError, type GuardFormat } from './guard-format.ts';

/** Qwen3Guard-Gen's categories (technical report, arXiv 2510.14276) and ours that they mean. */
const categoriesOf: Readonly<Record<string, readonly ClassifiedCategory[]>> = {
  violent: ['violence', 'illicit/violent'],
  'non-violent illegal acts': ['illicit'],
  'sexual content or sexual acts': ['sexual'],
  pii: [],
  'personally identifiable information': [],
  'suicide & self-harm': ['self-harm'],
  'unethical acts': ['hate', 'harassment'],
  'politically sensitive topics': [],
  'copyright violation': [],
  jailbreak: ['prompt_injection'],
  none: [],
};
/** What "Controversial" is worth: it depends on the policy whether that is harmful. */
const severities: Readonly<Record<string, number>> = { safe: 0, controversial: 0.5, unsafe: 1 };

/** Qwen3Guard-Gen: its chat template holds the task, so a prompt is a user's turn and an answer an assistant's. */
export const qwen3Guard: GuardFormat = {
  name: 'qwen3guard-gen',
  messages(text, direction) {
    if (direction === 'input') return [{ role: 'user', content: text }];
    return [
      { role: 'user', content: 'Continue.' },
      { role: 'assistant', content: text },
    ];
  },
  parse(answer) {
    const fields = new Map<string, string>();
    for (const line of answer.trim().split('\n')) {
      const colon = line.indexOf(':');
      if (colon > 0) fields.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    }
    const severity = severities[fields.get('safety')?.toLowerCase() ?? ''];
    if (severity === undefined) throw new GuardAnswerError(qwen3Guard.name);
    const scores: Partial<Record<ClassifiedCategory, number>> = Object.fromEntries(
      Object.values(categoriesOf).flatMap((list) => list.map((category) => [category, 0])),
    );
    for (const name of (fields.get('categories') ?? 'None').split(',')) {
      const categories = categoriesOf[name.trim().toLowerCase()];
      if (categories === undefined) throw new GuardAnswerError(qwen3Guard.name);
      for (const category of categories) scores[category] = severity;
    }
    return scores;
  },
};
