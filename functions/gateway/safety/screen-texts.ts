import type { Room } from '../generation/room.ts';
import type { VerdictTally } from '../generation/verdicts.ts';
import type { Caller } from '../keys/caller.ts';
import { InputScreen } from './screen-messages.ts';
import { writeVerdicts } from './verdict-log.ts';

export interface ScreenedTexts {
  /** As a model may see them, in the order of the request. */
  readonly texts: readonly string[];
  /** For the ledger's line; undefined where no policy is set. */
  readonly verdicts: VerdictTally | undefined;
}

/**
 * Screens texts that are not a dialogue (to be classified, embedded, ranked) as a user's messages are: what is redacted or masked is hidden, and
 * nothing is given back, since nothing comes back.
 * @param param the request field at fault
 * @throws {ContentBlockedError} the policy blocks one of them. @throws {SafetyUnavailableError} they must be judged and cannot be.
 */
export async function screenTexts(
  room: Pick<Room, 'policies' | 'log'>,
  caller: Caller,
  texts: readonly string[],
  { param, requestId, signal }: { readonly param: string; readonly requestId: string; readonly signal: AbortSignal },
): Promise<ScreenedTexts> {
  const safety = await room.policies.find(caller);
  if (safety === undefined) return { texts, verdicts: undefined };
  const screen = new InputScreen(safety, param, signal);
  try {
    const screened: string[] = [];
    for (const text of texts) screened.push(await screen.rewrite('user', text));
    return { texts: screened, verdicts: screen.verdicts };
  } finally {
    writeVerdicts(room.log, 'input', requestId, screen.verdicts.verdicts);
  }
}
