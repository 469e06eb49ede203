import { setImmediate as turn } from 'node:timers/promises';
import type { Endpoint, EndpointEvent, EndpointRequest } from '../../functions/gateway/services.ts';

/** What happens to one call: it throws before a token or after some, or never says anything again. */
export interface CallFault {
  /** Tokens that come first. */
  readonly after: number;
  readonly error: Error;
}

/**
 * A model whose next id is a hash of every id before it, so that a run continued from prompt and emitted ids is the uninterrupted run if and only
 * if the ids are right. Counts what it generates, as an engine's counters do.
 */
export class ToyEndpoint implements Endpoint {
  readonly requests: EndpointRequest[] = [];
  generatedTokens = 0;
  open = 0;
  readonly #faultOf: (request: EndpointRequest, call: number) => CallFault | undefined;
  readonly #pause: (request: EndpointRequest) => Promise<void>;
  readonly #model: number;

  /** @param model toys of different numbers say different things. */
  constructor(
    faultOf: (request: EndpointRequest, call: number) => CallFault | undefined = () => undefined,
    pause: (request: EndpointRequest) => Promise<void> = async () => {
      await turn();
    },
    model = 0,
  ) {
    this.#faultOf = faultOf;
    this.#pause = pause;
    this.#model = model;
  }

  score(): Promise<never> {
    return Promise.reject(new Error('a toy does not score'));
  }

  embed(): Promise<never> {
    return Promise.reject(new Error('a toy does not embed'));
  }

  async *invoke(request: EndpointRequest, signal: AbortSignal): AsyncGenerator<EndpointEvent> {
    const fault = this.#faultOf(request, this.requests.length);
    this.requests.push(request);
    const ids = [...request.promptTokenIds];
    this.open += 1;
    try {
      for (let count = 0; count < request.maxTokens; count += 1) {
        await this.#pause(request);
        signal.throwIfAborted();
        if (fault !== undefined && count === fault.after) throw fault.error;
        const tokenId = nextToyId(ids, this.#model);
        ids.push(tokenId);
        this.generatedTokens += 1;
        yield { type: 'tokens', tokenIds: [tokenId] };
      }
      if (fault !== undefined) throw fault.error;
      yield { type: 'end', finishReason: 'length' };
    } finally {
      this.open -= 1;
    }
  }
}

/** An ordinary id: not an end of turn, not a control token. */
export function nextToyId(ids: readonly number[], model = 0): number {
  let hash = 0x811c9dc5 ^ model;
  for (const id of ids) hash = Math.imul(hash ^ id, 0x01000193) >>> 0;
  return 1_000 + (((hash ^ (hash >>> 13)) >>> 0) % 20_000);
}
