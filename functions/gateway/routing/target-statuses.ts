/** How the machines behind each target are, as this process last heard: asked for beside the requests, and seldom, because AWS counts such calls. */
import type { Clock, ControlPlane, EndpointTarget, TargetStatus } from '../services.ts';
import { nameOf } from './target-health.ts';

const ASK_AGAIN_MS = 5_000;

interface Known {
  status: TargetStatus | undefined;
  askAgainAt: number;
  asking: Promise<TargetStatus | undefined> | undefined;
}

export class TargetStatuses {
  readonly #controlPlane: ControlPlane | undefined;
  readonly #clock: Clock;
  readonly #known = new Map<string, Known>();

  /** @param controlPlane without one nothing is known. */
  constructor(controlPlane: ControlPlane | undefined, clock: Clock) {
    this.#controlPlane = controlPlane;
    this.#clock = clock;
  }

  /** What is known; what is older than 5 s is asked for anew meanwhile. A failure changes nothing. */
  last(target: EndpointTarget): TargetStatus | undefined {
    void this.ask(target).catch(() => undefined);
    return this.#known.get(nameOf(target))?.status;
  }

  /**
   * What is known and no older than 5 s; `undefined` when there is no such endpoint, or nobody to ask.
   * @throws {EndpointUnavailableError} the control plane does not say.
   */
  async ask(target: EndpointTarget): Promise<TargetStatus | undefined> {
    if (this.#controlPlane === undefined) return undefined;
    const name = nameOf(target);
    const known = this.#known.get(name) ?? { status: undefined, askAgainAt: Number.NEGATIVE_INFINITY, asking: undefined };
    this.#known.set(name, known);
    if (known.asking === undefined && this.#clock.now() < known.askAgainAt) return known.status;
    known.asking ??= this.#controlPlane.describe(target).finally(() => {
      known.asking = undefined;
      known.askAgainAt = this.#clock.now() + ASK_AGAIN_MS;
    });
    known.status = await known.asking;
    return known.status;
  }
}
