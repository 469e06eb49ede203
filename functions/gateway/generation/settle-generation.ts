import type { Caller } from '../keys/caller.ts';
import { costOf, type Hold, type Meters } from '../keys/meters.ts';
import { writeVerdicts } from '../safety/verdict-log.ts';
import type { Log } from '../services.ts';
import type { Ledger, LedgerLine } from './ledger.ts';
import { pause } from './pause.ts';

const TRIES = 4;

/** How it went, as its line in the ledger tells it; prompt and cached tokens are those of an answer that was made. */
export type Outcome = Omit<LedgerLine, 'generationId' | 'organizationId' | 'projectId' | 'keyId' | 'startedAt' | 'costNanodollars'>;

/** Writes the one line and gives back what was not used. Never rejects: a hold that cannot be settled stands until somebody meets it. */
export async function settleGeneration(
  { ledger, meters, log }: { readonly ledger: Ledger; readonly meters: Meters; readonly log: Log },
  { organizationId, projectId, keyId }: Caller,
  hold: Hold,
  outcome: Outcome,
): Promise<void> {
  const { generationId } = hold;
  // Who got nothing but an error pays nothing.
  const wasAnswered =
    (outcome.attempts > 0 || outcome.phase === 'completed') && !(outcome.phase === 'failed' && outcome.completionTokens === 0);
  const used = { promptTokens: wasAnswered ? outcome.promptTokens : 0, completionTokens: outcome.completionTokens };
  const line = {
    ...{ generationId, organizationId, projectId, keyId },
    ...outcome,
    startedAt: hold.at,
    ...used,
    cachedPromptTokens: wasAnswered ? outcome.cachedPromptTokens : 0,
    costNanodollars: costOf(used, hold.price),
  };
  for (let tries = 1; ; tries += 1) {
    try {
      const stands = await ledger.write(line);
      await meters.settle(hold, stands);
      if (stands.verdicts !== null) writeVerdicts(log, 'output', outcome.requestId, stands.verdicts);
      return;
    } catch (error) {
      log.write('error', 'settlement-failed', { generationId, tries, error: error instanceof Error ? error.name : 'unknown' });
      if (tries === TRIES) return;
      await pause(200 * 2 ** tries);
    }
  }
}
