import type { Endpoint, EndpointEvent, EndpointRequest } from '../../functions/gateway/services.ts';

/** An endpoint that a test plays by hand: it gives the events of a script and keeps what it was asked. */
export class ScriptedEndpoint implements Endpoint {
  readonly requests: EndpointRequest[] = [];
  /** Signals of calls, in order: a test looks whether the caller stopped them. */
  readonly signals: AbortSignal[] = [];
  /** How often a call was left, by its end, by an error or by its reader. */
  closed = 0;
  readonly #script: (request: EndpointRequest, call: number) => AsyncIterable<EndpointEvent> | Iterable<EndpointEvent>;

  constructor(script: (request: EndpointRequest, call: number) => AsyncIterable<EndpointEvent> | Iterable<EndpointEvent>) {
    this.#script = script;
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
