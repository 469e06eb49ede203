import type {
  EmbeddingRequest,
  EmbeddingResult,
  Endpoint,
  EndpointEvent,
  EndpointRequest,
  PromptLogprobs,
  ScoringRequest,
} from '../../functions/gateway/services.ts';

/** How a test answers what is not generation. */
export interface ScriptedAnswers {
  score?(request: ScoringRequest): readonly PromptLogprobs[];
  embed?(request: EmbeddingRequest): EmbeddingResult;
}

/** An endpoint that a test plays by hand: it gives the events of a script and keeps what it was asked. */
export class ScriptedEndpoint implements Endpoint {
  readonly requests: EndpointRequest[] = [];
  /** Signals of calls, in order: a test looks whether the caller stopped them. */
  readonly signals: AbortSignal[] = [];
  /** How often a call was left, by its end, by an error or by its reader. */
  closed = 0;
  readonly #script: (request: EndpointRequest, call: number) => AsyncIterable<EndpointEvent> | Iterable<EndpointEvent>;

  readonly #answers: ScriptedAnswers;

  constructor(
    script: (request: EndpointRequest, call: number) => AsyncIterable<EndpointEvent> | Iterable<EndpointEvent>,
    answers: ScriptedAnswers = {},
  ) {
    this.#script = script;
    this.#answers = answers;
  }

  async score(request: ScoringRequest): Promise<readonly PromptLogprobs[]> {
    if (this.#answers.score === undefined) throw new Error('this script scores nothing');
    return this.#answers.score(request);
  }

  async embed(request: EmbeddingRequest): Promise<EmbeddingResult> {
    if (this.#answers.embed === undefined) throw new Error('this script embeds nothing');
    return this.#answers.embed(request);
  }

  async *invoke(request: EndpointRequest, signal: AbortSignal): AsyncGenerator<EndpointEvent> {
    const call = this.requests.length;
    this.requests.push(request);
    this.signals.push(signal);
    try {
      for await (const event of this.#script(request, call)) {
        signal.throwIfAborted();
        yield event;
      }
    } finally {
      this.closed += 1;
    }
  }
}

/** Waits until the signal aborts, as an endpoint that has no token yet. */
export function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
