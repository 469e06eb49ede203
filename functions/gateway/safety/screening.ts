import type { PiiMask, SafetyPolicySettings, WatchedPrompt } from '../../../layers/safety/index.ts';
import { VerdictTally } from '../generation/verdicts.ts';
import type { GenerationRequest } from '../pipeline/generation-request.ts';
import type { TextPart } from './choice-texts.ts';
import type { TenantSafety } from './tenant-safety.ts';
import {
  chainStages,
  createFilterStage,
  createLeakStage,
  createQuickFilterStage,
  createRestoreStage,
  createStopStage,
  type TextStage,
} from './text-stages.ts';

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

/** What gives hidden values back there; undefined where nothing is given back. */
export function maskIn({ safety, mask }: Screening, place: SafetyPolicySettings['restoreIn'][number]): PiiMask | undefined {
  return safety?.policy.settings.restoreIn.includes(place) === true ? mask : undefined;
}

/** What one text of an answer goes through: it is judged as the model wrote it, and what stands in it in the end may be a stop sequence. */
export function textStages(
  part: TextPart,
  safety: TenantSafety,
  screening: Screening,
  { stop, grammar }: Pick<GenerationRequest, 'stop' | 'grammar'>,
): TextStage {
  const { watched, verdicts } = screening;
  const mask = maskIn(screening, part.type === 'tool-arguments' ? 'tool_arguments' : part.type);
  const isJson = part.type === 'tool-arguments' || (part.type === 'content' && grammar?.type.startsWith('json') === true);
  return chainStages([
    ...(watched === undefined ? [] : [createLeakStage(watched, safety, verdicts)]),
    createFilterStage(safety, verdicts),
    ...(mask === undefined ? [] : [createRestoreStage(mask, isJson ? 'json' : 'text')]),
    ...(stop.length === 0 ? [] : [createStopStage(stop)]),
  ]);
}

/** What tokens spell goes through the same rules. What they find is counted with the text, and slower judges are asked about that alone. */
export function tokenStages(safety: TenantSafety, { watched, mask }: Screening): TextStage {
  const uncounted = new VerdictTally();
  return chainStages([
    ...(watched === undefined ? [] : [createLeakStage(watched, safety, uncounted)]),
    createQuickFilterStage(safety),
    ...(mask === undefined ? [] : [createRestoreStage(mask, 'text')]),
  ]);
}
