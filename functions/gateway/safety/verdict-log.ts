import type { Verdicts } from '../generation/verdicts.ts';
import type { Log } from '../services.ts';

/**
 * One line for what a policy found in a prompt or an answer: how often each label, and the severest action. Metrics are filters over these lines
 * (docs/safety.md), so that blocked prompts are counted too, which no ledger line has. Never a piece of what was said.
 */
export function writeVerdicts(log: Log, direction: 'input' | 'output', requestId: string, verdicts: Verdicts | null): void {
  const counts = Object.entries(verdicts?.[direction] ?? {});
  if (verdicts === null || counts.length === 0) return;
  log.write('info', `safety-${direction}`, {
    requestId,
    policyDigest: verdicts.policyDigest,
    action: verdicts.action,
    dryRun: verdicts.dryRun,
    ...Object.fromEntries(counts.map(([label, count]) => [`found.${label}`, count])),
  });
}
