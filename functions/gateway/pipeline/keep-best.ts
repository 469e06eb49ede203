import type { GenerationEvent, GenerationRequest, TokenDetail, Usage } from './generation-request.ts';

type Delta = Extract<GenerationEvent, { type: 'delta' }>;
type End = Extract<GenerationEvent, { type: 'choice-end' }>;

/**
 * GPT-3's `best_of`: of each prompt's candidates the likeliest are the answer, by their mean log-probability a token; all of them are
 * charged. Nothing can be said before all candidates are there.
 */
export function keepBest(events: AsyncGenerator<GenerationEvent>, request: GenerationRequest): AsyncGenerator<GenerationEvent> {
  return request.bestOf === undefined ? events : keepBestOf(request.bestOf, events, request);
}

async function* keepBestOf(
  bestOf: number,
  events: AsyncIterable<GenerationEvent>,
  request: GenerationRequest,
): AsyncGenerator<GenerationEvent> {
  const candidates = new Map<number, { readonly deltas: Delta[]; end: End | undefined }>();
  for await (const event of events) {
    const candidate = candidates.get(event.index) ?? { deltas: [], end: undefined };
    candidates.set(event.index, candidate);
    if (event.type === 'delta') candidate.deltas.push(event);
    else candidate.end = event;
  }
  for (let prompt = 0; prompt < request.prompts.length; prompt += 1) {
    const ofPrompt = Array.from({ length: bestOf }, (_, candidate) => candidates.get(prompt * bestOf + candidate)).filter(
      (one) => one !== undefined,
    );
    const completionTokens = ofPrompt.reduce((sum, one) => sum + (one.end?.usage.completionTokens ?? 0), 0);
    const ranked = ofPrompt.toSorted((one, other) => meanLogprob(other.deltas) - meanLogprob(one.deltas));
    for (const [place, { deltas, end }] of ranked.slice(0, request.choicesPerPrompt).entries()) {
      const index = prompt * request.choicesPerPrompt + place;
      for (const delta of deltas) yield { ...delta, index, tokens: request.topLogprobs === undefined ? [] : delta.tokens };
      if (end !== undefined) yield { ...end, index, usage: chargeAll(end.usage, place === 0 ? completionTokens : 0) };
    }
  }
}

/** The first answer carries the tokens of all candidates. */
function chargeAll(usage: Usage, completionTokens: number): Usage {
  return { ...usage, completionTokens };
}

function meanLogprob(deltas: readonly Delta[]): number {
  const tokens: readonly TokenDetail[] = deltas.flatMap((delta) => delta.tokens);
  const known = tokens.map((token) => token.logprob).filter((logprob) => logprob !== undefined);
  return known.length === 0 ? Number.NEGATIVE_INFINITY : known.reduce((sum, logprob) => sum + logprob, 0) / known.length;
}
