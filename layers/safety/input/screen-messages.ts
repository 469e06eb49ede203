/** Screens a conversation before a model sees it: each message, each tool result, and what is encoded inside them. */
import type { ClassifiedCategory } from '../categories.ts';
import { type Action, severer } from '../policy.ts';
import type { SafetyFilter } from '../safety-filter.ts';
import type { Verdict } from '../verdict.ts';
import { countFakeTurns } from './many-shot.ts';
import { type UnwrappedText, unwrapEncodings } from './unwrap.ts';

export interface ScreenedMessage {
  /** `system` is the operator's own text: only secrets and denied words are looked for in it, not attacks. */
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly text: string;
}

/** Turns of a made-up conversation in one message from which it looks like many-shot jailbreaking (Anil et al., 2024). */
const manyShots = 8;

export interface ScreenedConversation {
  /** The severest of all messages. */
  readonly action: Action;
  readonly messages: readonly MessageVerdict[];
  readonly policyDigest: string;
}

export interface MessageVerdict {
  readonly role: ScreenedMessage['role'];
  readonly verdict: Verdict;
  /** The text with what the policy redacts. */
  readonly redactedText: string;
  /** Encodings whose content was judged too, and counts in the verdict. */
  readonly unwrapped: readonly UnwrappedText['encoding'][];
  /** An attack in a tool's result: it came from outside and was not the user's. */
  readonly isIndirect: boolean;
  readonly isManyShot: boolean;
}

/**
 * Uses the reviewers of the filter when it has any. Messages that were screened before may be left out: each is judged by itself.
 * @param toolFilter judges tools' results, where the policy has other rules for them (`policyForToolResults`)
 */
export async function screenMessages(
  filter: SafetyFilter,
  messages: readonly ScreenedMessage[],
  signal?: AbortSignal,
  toolFilter: SafetyFilter = filter,
): Promise<ScreenedConversation> {
  const verdicts: MessageVerdict[] = [];
  for (const message of messages) verdicts.push(await screenMessage(message.role === 'tool' ? toolFilter : filter, message, signal));
  return {
    action: verdicts.reduce<Action>((action, { verdict }) => severer(action, verdict.action), 'allow'),
    messages: verdicts,
    policyDigest: filter.policy.digest,
  };
}

async function screenMessage(filter: SafetyFilter, message: ScreenedMessage, signal: AbortSignal | undefined): Promise<MessageVerdict> {
  const { role, text } = message;
  if (role === 'system' || !filter.policy.settings.judgedRoles.includes(role)) {
    const checked = filter.checkRules(text, 'input');
    return { role, ...checked, unwrapped: [], isIndirect: false, isManyShot: false };
  }
  const checked = await filter.reviewedCheck(text, 'input', signal);
  const inner = unwrapEncodings(text);
  const judged: Verdict[] = [];
  for (const piece of inner) judged.push((await filter.reviewedCheck(piece.text, 'input', signal)).verdict);
  const isManyShot = countFakeTurns(text) >= manyShots;
  const verdict = judged.reduce(joinVerdicts, checked.verdict);
  const finished = isManyShot ? withCategory(verdict, 'prompt_injection', filter) : verdict;
  return {
    role,
    verdict: finished,
    redactedText: checked.redactedText,
    unwrapped: inner.map(({ encoding }) => encoding),
    isIndirect: role === 'tool' && finished.flagged.includes('prompt_injection'),
    isManyShot,
  };
}

/** Findings keep their places in the outer text only: those of an encoded text have none there. */
function joinVerdicts(outer: Verdict, inner: Verdict): Verdict {
  const scores: Partial<Record<ClassifiedCategory, number>> = { ...outer.scores };
  for (const [name, score] of Object.entries(inner.scores)) {
    const category = name as ClassifiedCategory;
    scores[category] = Math.max(score, scores[category] ?? 0);
  }
  return {
    ...outer,
    action: severer(outer.action, inner.action),
    scores,
    flagged: [...new Set([...outer.flagged, ...inner.flagged])],
  };
}

function withCategory(verdict: Verdict, category: ClassifiedCategory, filter: SafetyFilter): Verdict {
  const action = filter.policy.settings.categories[category]?.input ?? 'flag';
  if (action === 'allow') return verdict;
  return {
    ...verdict,
    action: severer(verdict.action, action),
    scores: { ...verdict.scores, [category]: 1 },
    flagged: [...new Set([...verdict.flagged, category])],
  };
}
