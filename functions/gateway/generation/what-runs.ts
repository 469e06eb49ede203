import { OverloadedError } from '../errors.ts';
import type { TargetStatuses } from '../routing/target-statuses.ts';
import type { EndpointTarget } from '../services.ts';
import { within } from './pause.ts';

/** Whoever is turned away waits this much longer, at most, to be told why. */
const LONGEST_WAIT_MS = 300;

/** The same refusal with what is known of the machines that it waited for; any other error as it is. */
export async function withWhatRuns(error: unknown, statuses: TargetStatuses, target: EndpointTarget | undefined): Promise<unknown> {
  if (!(error instanceof OverloadedError) || target === undefined) return error;
  const status = await within(
    statuses.ask(target).catch(() => statuses.last(target)),
    LONGEST_WAIT_MS,
  );
  if (status?.copies === undefined) return error;
  const { running, wanted } = status.copies;
  const since = status.changedAt === undefined ? '' : ` since ${new Date(status.changedAt).toISOString().replace(/\.\d+Z$/, 'Z')}`;
  return new OverloadedError(`${error.message} Copies of it that run: ${running} of ${wanted}${since}.`, error.retryAfterSeconds);
}
