import type { ClassifiedCategory } from '../categories.ts';
import { GuardAnswerError, type GuardFormat } from './guard-format.ts';

/** Llama Guard 3's hazards (MLCommons taxonomy) and the categories of ours that they mean. */
const hazards: readonly (readonly [name: string, ...categories: ClassifiedCategory[]])[] = [
  ['Violent Crimes', 'violence', 'illicit/violent'],
  ['Non-Violent Crimes', 'illicit'],
  ['Sex-Related Crimes', 'sexual', 'illicit'],
  ['Child Sexual Exploitation', 'sexual/minors'],
  ['Defamation', 'harassment'],
  ['Specialized Advice'],
  ['Privacy'],
  ['Intellectual Property'],
  ['Indiscriminate Weapons', 'illicit/violent'],
  ['Hate', 'hate'],
  ['Suicide & Self-Harm', 'self-harm'],
  ['Sexual Content', 'sexual'],
  ['Elections'],
  ['Code Interpreter Abuse', 'illicit'],
];

/** Llama Guard 3 (Meta, 2024): asked with its published task prompt, answers `safe`, or `unsafe` and the hazards' codes on a second line. */
export const llamaGuard3: GuardFormat = {
  name: 'llama-guard-3',
  messages(text, direction) {
    const role = direction === 'input' ? 'User' : 'Agent';
    const list = hazards.map(([name], index) => `S${index + 1}: ${name}.`).join('\n');
    const content = [
      `Task: Check if there is unsafe content in '${role}' messages in conversations according our safety policy with the below categories.`,
      `<BEGIN UNSAFE CONTENT CATEGORIES>\n${list}\n<END UNSAFE CONTENT CATEGORIES>`,
      `<BEGIN CONVERSATION>\n\n${role}: ${text.replaceAll('<END CONVERSATION>', '')}\n\n<END CONVERSATION>`,
      `Provide your safety assessment for ONLY THE LAST ${role} message in the above conversation:\n - First line must read 'safe' or 'unsafe'.\n - If unsafe, a second line must include a comma-separated list of violated categories.`,
    ].join('\n\n');
    return [{ role: 'user', content }];
  },
  parse(answer) {
    const [first, second = ''] = answer.trim().split('\n');
    const scores: Partial<Record<ClassifiedCategory, number>> = Object.fromEntries(
      hazards.flatMap(([, ...categories]) => categories.map((category) => [category, 0])),
    );
    if (first?.trim() === 'safe') return scores;
    if (first?.trim() !== 'unsafe') throw new GuardAnswerError(llamaGuard3.name);
    for (const code of second.split(',')) {
      const hazard = /^S\d{1,2}$/.test(code.trim()) ? hazards[Number(code.trim().slice(1)) - 1] : undefined;
      if (hazard === undefined) throw new GuardAnswerError(llamaGuard3.name);
      const [, ...categories] = hazard;
      for (const category of categories) scores[category] = 1;
    }
    return scores;
  },
};
