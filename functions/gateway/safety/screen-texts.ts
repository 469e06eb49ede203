import { InvalidRequestError } from '../errors.ts';
import type { Room } from '../generation/room.ts';
import type { VerdictTally } from '../generation/verdicts.ts';
import type { Caller } from '../keys/caller.ts';
import type { EmbeddingRequest } from '../services.ts';
import { InputScreen } from './screen-messages.ts';
import { writeVerdicts } from './verdict-log.ts';

/** Where the texts come from. */
interface TextSource {
  /** The request field at fault, when something is blocked. */
  readonly param: string;
  readonly requestId: string;
  readonly signal: AbortSignal;
}

export interface ScreenedTexts {
  /** As a model may see them, in the order of the request. */
  readonly texts: readonly string[];
  /** For the ledger's line; undefined where no policy is set. */
  readonly verdicts: VerdictTally | undefined;
}

/**
 * Screens texts that are not a dialogue (to be classified, embedded, ranked) as a user's messages are: what is redacted or masked is hidden, and
 * nothing is given back, since nothing comes back.
 * @throws {ContentBlockedError} the policy blocks one of them. @throws {SafetyUnavailableError} they must be judged and cannot be.
 */
export async function screenTexts(
  room: Pick<Room, 'policies' | 'log'>,
  caller: Caller,
  texts: readonly string[],
  { param, requestId, signal }: TextSource,
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

/** The same for what is embedded. Ids of an embedding model's own vocabulary mean nothing here: under a policy they cannot be judged. */
export async function screenEmbeddingInput(
  room: Pick<Room, 'policies' | 'log'>,
  caller: Caller,
  input: EmbeddingRequest['input'],
  source: TextSource,
): Promise<{ readonly input: EmbeddingRequest['input']; readonly verdicts: VerdictTally | undefined }> {
  const texts = input.filter((one) => typeof one === 'string');
  if (texts.length === input.length) {
    const screened = await screenTexts(room, caller, texts, source);
    return { input: screened.texts, verdicts: screened.verdicts };
  }
  if ((await room.policies.find(caller)) === undefined) return { input, verdicts: undefined };
  throw new InvalidRequestError(`Your safety policy judges texts, and \`${source.param}\` has token ids. Send text.`, {
    param: source.param,
    code: 'content_policy_violation',
  });
}
