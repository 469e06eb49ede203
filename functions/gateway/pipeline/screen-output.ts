import { ChoiceTexts } from '../safety/choice-texts.ts';
import { ChoiceTokens } from '../safety/choice-tokens.ts';
import { type Screening, textStages, tokenStages } from '../safety/screening.ts';
import type { TenantSafety } from '../safety/tenant-safety.ts';
import type { ChoiceEvent, GenerationRequest, TokenDetail } from './generation-request.ts';

/**
 * Lets out only what the policy allows, as it comes: what may still become part of a finding is held back, a redacted piece is replaced
 * before any of it is shown, and a block ends the choice in a well-formed way, which also stops the endpoint. Values that were hidden from the model
 * are put back last, where the policy says so. Without a policy everything passes.
 */
export function screenOutput(
  events: AsyncGenerator<ChoiceEvent>,
  screening: Screening,
  request: Pick<GenerationRequest, 'stop' | 'grammar'>,
): AsyncGenerator<ChoiceEvent> {
  const { safety } = screening;
  return safety === undefined ? events : screenBy(safety, events, screening, request);
}

async function* screenBy(
  safety: TenantSafety,
  events: AsyncIterable<ChoiceEvent>,
  screening: Screening,
  request: Pick<GenerationRequest, 'stop' | 'grammar'>,
): AsyncGenerator<ChoiceEvent> {
  const texts = new ChoiceTexts((part) => textStages(part, safety, screening, request));
  const tokens = new ChoiceTokens(tokenStages(safety, screening));
  let waiting: readonly TokenDetail[] = [];
  for await (const event of events) {
    const isEnd = event.type === 'choice-end';
    const shown = isEnd ? await texts.flush() : await texts.push(event.parts);
    waiting = [...waiting, ...(isEnd ? await tokens.flush() : await tokens.push(event.tokens))];
    // What a slower judge has not passed yet, no token tells.
    const isFree = texts.end === undefined && texts.heldLength === 0;
    const told = isFree ? waiting : [];
    if (isFree) waiting = [];
    if (shown.length > 0 || told.length > 0) yield { type: 'delta', parts: shown, tokens: told, usage: event.usage };
    if (texts.end !== undefined) {
      yield { type: 'choice-end', finishReason: texts.end, usage: event.usage };
      return;
    }
    if (isEnd) yield event;
  }
}
