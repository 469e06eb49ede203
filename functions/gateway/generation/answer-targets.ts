import { chooseTarget, type WeightedTarget, withoutRouting } from '../routing/choose-target.ts';
import { hedgeFirstEvent } from '../routing/hedge-first-event.ts';
import { nameOf, type TargetHealth } from '../routing/target-health.ts';
import type { Clock, Endpoint, EndpointEvent, EndpointRequest, EndpointTarget } from '../services.ts';
import type { Switches, SwitchSettings } from '../switches.ts';
import { classify, isTimeLimit } from './call-failure.ts';
import type { CallFailure } from './machine.ts';

interface TargetServices {
  readonly endpoint: Endpoint;
  readonly health: TargetHealth;
  readonly clock: Clock;
  readonly switches: Switches;
  readonly config: { readonly retry: { readonly hedgeAfterMs: number } };
}

/** Where the calls of one answer go: which targets it has met, and which of them failed it. */
export class AnswerTargets {
  readonly #services: TargetServices;
  readonly #targets: readonly WeightedTarget[];
  readonly #failed: EndpointTarget[] = [];

  constructor(services: TargetServices, targets: readonly WeightedTarget[]) {
    this.#services = services;
    this.#targets = targets;
  }

  /** @param isContinued tokens are there already: only targets that go on with them are asked. */
  choose(request: Omit<EndpointRequest, 'target'>, isContinued: boolean, tried: readonly EndpointTarget[] = this.#failed): EndpointTarget {
    const { promptTokenIds, sessionId } = request;
    const { health, clock, switches } = this.#services;
    const open = withoutSwitchedOff(this.#targets, isContinued, switches.current());
    return withoutRouting(chooseTarget(open, health, { promptTokenIds, sessionId, isContinued, tried, nowMs: clock.now() }));
  }

  /** One call; with a second one beside it when the first is silent for too long and there is another target. */
  invoke(invocation: EndpointRequest, mayHedge: boolean, signal: AbortSignal): AsyncIterable<EndpointEvent> {
    const { endpoint, config } = this.#services;
    if (config.retry.hedgeAfterMs === 0 || this.#targets.length < 2 || !mayHedge) return endpoint.invoke(invocation, signal);
    const candidate = (request: EndpointRequest) => {
      const stop = new AbortController();
      return { events: endpoint.invoke(request, AbortSignal.any([signal, stop.signal])), stop: () => stop.abort() };
    };
    return hedgeFirstEvent(
      candidate(invocation),
      () => {
        const tried = [...this.#failed, invocation.target];
        const target = this.choose(invocation, false, tried);
        return tried.some((one) => nameOf(one) === nameOf(target)) ? undefined : candidate({ ...invocation, target });
      },
      config.retry.hedgeAfterMs,
    );
  }

  /**
   * Notes that a call failed. When its target is full, another that this answer has not met may not be; only when all are, it waits for capacity.
   * @param isFar the call brought the answer far: coming to the stream's time limit is then held against nobody.
   */
  failed(target: EndpointTarget, error: unknown, isContinued: boolean, isFar: boolean): CallFailure {
    const { health, clock } = this.#services;
    const failure = classify(error);
    if (failure === 'capacity') {
      const met = new Set([...this.#failed, target].map(nameOf));
      const isElsewhere = this.#targets.some((other) => !met.has(nameOf(other)) && !(isContinued && other.continuation === 'none'));
      if (!isElsewhere) {
        this.#failed.length = 0;
        return 'capacity';
      }
    }
    if (failure === 'refused' || (isTimeLimit(error) && isFar)) return failure;
    if (failure === 'broken') health.failed(target, clock.now());
    this.#failed.push(target);
    return 'broken';
  }
}

/** Without the targets that are out of service, as long as another can answer. */
function withoutSwitchedOff(
  targets: readonly WeightedTarget[],
  isContinued: boolean,
  { endpointsOut }: SwitchSettings,
): readonly WeightedTarget[] {
  if (endpointsOut.length === 0) return targets;
  const open = targets.filter(
    ({ region, endpointName }) => !endpointsOut.includes(region === undefined ? endpointName : `${region}/${endpointName}`),
  );
  return open.some(({ continuation }) => !isContinued || continuation !== 'none') ? open : targets;
}
