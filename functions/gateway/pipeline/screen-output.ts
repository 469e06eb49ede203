import { ChoiceTexts, type TextPart } from '../safety/choice-texts.ts';
import type { Screening } from '../safety/screening.ts';
import {
  chainStages,
  createFilterStage,
  createLeakStage,
  createRestoreStage,
  createStopStage,
  type TextStage,
} from '../safety/text-stages.ts';
import type { ChoiceEvent, GenerationRequest } from './generation-request.ts';

/**
 * Lets out only what the policy allows, as it comes: what may still become part of a finding is held back, a redacted piece is replaced
 * before any of it is shown, and a block ends the choice in a well-formed way, which also stops the endpoint. The answer, the thoughts and
 * each call's arguments are texts of their own. Without a policy everything passes.
 */
export async function* screenOutput<Event extends ChoiceEvent>(
  events: AsyncIterable<Event>,
  { safety, watched, verdicts }: Screening,
): AsyncGenerator<Event> {
  if (safety === undefined) return yield* events;
  yield* passTexts(events, () =>
    chainStages([...(watched === undefined ? [] : [createLeakStage(watched, safety, verdicts)]), createFilterStage(safety, verdicts)]),
  );
}

/**
 * Gives the values back that were hidden from the model, where the policy says so. What a placeholder or a replaced piece hid may be a stop
 * sequence: the answer ends before it, as it would have.
 */
export async function* restoreOutput<Event extends ChoiceEvent>(
  events: AsyncIterable<Event>,
  { safety, mask }: Screening,
  { stop, grammar }: Pick<GenerationRequest, 'stop' | 'grammar'>,
): AsyncGenerator<Event> {
  if (safety === undefined || (mask === undefined && stop.length === 0)) return yield* events;
  const { restoreIn } = safety.policy.settings;
  const isJson = ({ type }: TextPart) => type === 'tool-arguments' || (type === 'content' && grammar?.type.startsWith('json') === true);
  yield* passTexts(events, (part) =>
    chainStages([
      ...(mask !== undefined && restoreIn.includes(part.type === 'tool-arguments' ? 'tool_arguments' : part.type)
        ? [createRestoreStage(mask, isJson(part) ? 'json' : 'text')]
        : []),
      ...(stop.length > 0 ? [createStopStage(stop)] : []),
    ]),
  );
}

async function* passTexts<Event extends ChoiceEvent>(
  events: AsyncIterable<Event>,
  createStage: (part: TextPart) => TextStage,
): AsyncGenerator<Event> {
  const texts = new ChoiceTexts(createStage);
  for await (const event of events) {
    const isEnd = event.type === 'choice-end';
    const parts = isEnd ? [await texts.flush()] : await pushAll(texts, event.parts);
    const tokens = texts.releaseTokens(isEnd ? [] : event.tokens, isEnd);
    const shown = parts.flat();
    // The same event, of the same choice, with other words.
    if (shown.length > 0 || tokens.length > 0) yield { ...event, type: 'delta', parts: shown, tokens } as Event;
    if (texts.end !== undefined) {
      yield { ...event, type: 'choice-end', finishReason: texts.end } as Event;
      return;
    }
    if (isEnd) yield event;
  }
}

async function pushAll(texts: ChoiceTexts, parts: Extract<ChoiceEvent, { type: 'delta' }>['parts']) {
  const passed = [];
  for (const part of parts) passed.push(await texts.push(part));
  return passed;
}
