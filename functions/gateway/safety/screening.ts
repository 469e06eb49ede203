import type { PiiMask, WatchedPrompt } from '../../../layers/safety/index.ts';
import { VerdictTally } from '../generation/verdicts.ts';
import type { TenantSafety } from './tenant-safety.ts';

/** What one request carries from the screening of its prompts to that of its answers. It dies with the request: nothing of it is written down. */
export interface Screening {
  /** Undefined where no policy is set: everything passes. */
  readonly safety: TenantSafety | undefined;
  readonly verdicts: VerdictTally;
  /** The values that were hidden from the model; undefined when none was. */
  readonly mask: PiiMask | undefined;
  /** The instructions that an answer may not quote. */
  readonly watched: WatchedPrompt | undefined;
}

/** @param safety what judges answers whose prompts were screened elsewhere: a generation that goes on here after its process died. */
export function startScreening(safety?: TenantSafety): Screening {
  return { safety, verdicts: new VerdictTally(), mask: undefined, watched: undefined };
}

/** Whether another process could screen the rest of the answer: what is hidden, and what may not be quoted, is known to this one alone. */
export function isPortable({ mask, watched }: Screening): boolean {
  return mask === undefined && watched === undefined;
}
