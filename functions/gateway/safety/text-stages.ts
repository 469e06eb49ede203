/** What one text of an answer goes through, stage by stage. Each stage releases a function of the text so far, however it is cut. */
import {
  createPromptLeakStream,
  type PiiMask,
  type ReviewedStream,
  type SafetyStream,
  type TextForm,
  type WatchedPrompt,
} from '../../../layers/safety/index.ts';
import { StopAutomaton } from '../../../layers/tokenizer/index.ts';
import { SafetyUnavailableError } from '../errors.ts';
import type { VerdictTally } from '../generation/verdicts.ts';
import type { TenantSafety } from './tenant-safety.ts';

/** Why a text ends before its model does. */
export type EarlyEnd = 'content-filter' | 'stop';

export interface Released {
  readonly text: string;
  /** Nothing follows. */
  readonly end?: EarlyEnd;
}

export interface TextStage {
  push(text: string): Released | Promise<Released>;
  /** The text is over: what was held. */
  flush(): Released | Promise<Released>;
  /** UTF-16 units that are held back now. */
  readonly heldLength: number;
}

/** What the policy finds in an answer is replaced, or ends it. */
export function createFilterStage({ output, policy }: TenantSafety, verdicts: VerdictTally): TextStage {
  const { minilm, guard } = policy.settings;
  const stream: SafetyStream | ReviewedStream =
    minilm !== 'off' || guard.output !== 'off' ? output.reviewedStream('output') : output.stream('output');
  const read = async (releasing: ReturnType<ReviewedStream['push'] | SafetyStream['push']>): Promise<Released> => {
    try {
      const { released, verdict } = await releasing;
      if (verdict !== undefined) verdicts.note('output', verdict);
      return { text: released, ...(verdict?.action === 'block' && !verdict.dryRun && { end: 'content-filter' as const }) };
    } catch (error) {
      if (!(error instanceof SafetyUnavailableError)) throw error;
      verdicts.noteLabel('output', { policyDigest: policy.digest, action: 'block', dryRun: false }, 'unjudged');
      return { text: '', end: 'content-filter' };
    }
  };
  return {
    push: (text) => read(stream.push(text)),
    flush: () => read(stream.flush()),
    get heldLength() {
      return stream.heldLength;
    },
  };
}

/** The same without slower judges, and without a word to anyone. */
export function createQuickFilterStage({ output }: TenantSafety): TextStage {
  const stream = output.stream('output');
  const read = ({ released, verdict }: ReturnType<SafetyStream['push']>): Released => ({
    text: released,
    ...(verdict?.action === 'block' && !verdict.dryRun && { end: 'content-filter' as const }),
  });
  return {
    push: (text) => read(stream.push(text)),
    flush: () => read(stream.flush()),
    get heldLength() {
      return stream.heldLength;
    },
  };
}

/** An answer that quotes its instructions ends before the quote, or is only told of. */
export function createLeakStage(watched: WatchedPrompt, { policy }: TenantSafety, verdicts: VerdictTally): TextStage {
  const { promptLeak: action, dryRun } = policy.settings;
  const isEnded = action === 'block' && !dryRun;
  const stream = createPromptLeakStream(watched, isEnded);
  let isTold = false;
  const read = ({ released, isLeaked }: ReturnType<typeof stream.push>): Released => {
    if (isLeaked && !isTold) verdicts.noteLabel('output', { policyDigest: policy.digest, action, dryRun }, 'prompt_leak');
    isTold ||= isLeaked;
    return { text: released, ...(isLeaked && isEnded && { end: 'content-filter' as const }) };
  };
  return {
    push: (text) => read(stream.push(text)),
    flush: () => read(stream.flush()),
    get heldLength() {
      return stream.heldLength;
    },
  };
}

/** Values that were hidden from the model are put back. */
export function createRestoreStage(mask: PiiMask, form: TextForm): TextStage {
  const stream = mask.restoreStream(form);
  return {
    push: (text) => ({ text: stream.push(text) }),
    flush: () => ({ text: stream.flush() }),
    get heldLength() {
      return stream.heldLength;
    },
  };
}

/** A stop sequence that stands in the text only since something was replaced ends it as any other does. */
export function createStopStage(stops: readonly string[]): TextStage {
  const automaton = new StopAutomaton(stops);
  let held = '';
  return {
    push(text) {
      const pending = held + text;
      for (let at = held.length; at < pending.length; at += 1) {
        const length = automaton.read(pending.charCodeAt(at));
        if (length === 0) continue;
        held = '';
        return { text: pending.slice(0, at + 1 - length), end: 'stop' };
      }
      const free = pending.length - automaton.held;
      held = pending.slice(free);
      return { text: pending.slice(0, free) };
    },
    flush() {
      const text = held;
      held = '';
      return { text };
    },
    get heldLength() {
      return held.length;
    },
  };
}

/** Several stages as one: what the first releases goes into the next. */
export function chainStages(stages: readonly TextStage[]): TextStage {
  let end: EarlyEnd | undefined;
  const pass = async (text: string, isOver: boolean): Promise<Released> => {
    if (end !== undefined) return { text: '' };
    let passing = text;
    let isFlushed = isOver;
    for (const stage of stages) {
      const pushed = passing === '' ? { text: '' } : await stage.push(passing);
      end = pushed.end ?? end;
      passing = pushed.text;
      if (isFlushed && pushed.end === undefined) {
        const flushed = await stage.flush();
        end = flushed.end ?? end;
        passing += flushed.text;
      }
      // A stage that has ended its text ends it for those behind it.
      isFlushed = isOver || end !== undefined;
    }
    return { text: passing, ...(end !== undefined && { end }) };
  };
  return {
    push: (text) => pass(text, false),
    flush: () => pass('', true),
    get heldLength() {
      return stages.reduce((sum, stage) => sum + stage.heldLength, 0);
    },
  };
}
