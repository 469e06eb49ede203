/**
 * Answers that have time (`service_tier: "flex"`). Their generation stays queued while the model has not made them: each message looks once, and puts
 * the name back into the queue for later, so that no function waits. The message that finds the answer begins the generation as any other, with the
 * answer in place of an endpoint. It is the same answer whoever reads it: after a crash it goes on at the very token.
 */
import { EndpointRefusedError, EndpointUnavailableError } from '../gateway/errors.ts';
import { classify } from '../gateway/generation/call-failure.ts';
import type { GoOn } from '../gateway/generation/live-logs.ts';
import { pause } from '../gateway/generation/pause.ts';
import type { Room } from '../gateway/generation/room.ts';
import { findLost } from '../gateway/generation/takeover.ts';
import { readLogHead } from '../gateway/generation/token-log.ts';
import { findHeld } from '../gateway/pipeline/continue-generation.ts';
import { describeChoice } from '../gateway/pipeline/generate-choice.ts';
import { targetsOf } from '../gateway/pipeline/hold-tokens.ts';
import { planOutput } from '../gateway/pipeline/plan-output.ts';
import { servedOffline } from '../gateway/pipeline/served-offline.ts';
import { readStoredPlan } from '../gateway/pipeline/stored-plan.ts';
import { createContinuer } from '../gateway/routes/continue-answer.ts';
import { decodeKeptPlan } from '../gateway/routes/kept-plan.ts';
import { withoutRouting } from '../gateway/routing/choose-target.ts';
import type { LoadedModel } from '../gateway/served-models.ts';
import type { Endpoint, EndpointEvent, EndpointRequest, JobQueue, OfflineEndpoint } from '../gateway/services.ts';

/** Pauses between looks: a quarter of the time that it has waited already. */
const FIRST_LOOK_SECONDS = 15;
const LAST_LOOK_SECONDS = 300;
/** Between looks for an answer that was there and is not any more. */
const LOOK_AGAIN_MS = 2_000;

export interface OfflineAnswers {
  /** What begins it; `later` when the queue will name it again; `ordinary` when it has no time; `undefined` when nobody may begin it now. */
  look(id: string): Promise<GoOn | 'later' | 'ordinary' | undefined>;
  /** Forgets what was made for one that has ended or is gone. */
  tidy(id: string): Promise<void>;
}

interface Wanted {
  readonly model: LoadedModel;
  readonly request: EndpointRequest;
  readonly heldAt: number;
}

export function createOfflineAnswers(room: Room, offline: OfflineEndpoint, jobs: JobQueue): OfflineAnswers {
  const find = async (id: string): Promise<Wanted | 'ordinary' | undefined> => {
    const lost = await findLost(room, id, room.config.runnerLeaseMs, true);
    if (lost === undefined) return undefined;
    const { plan: stored } = decodeKeptPlan(lost.plan);
    const { request, plan } = readStoredPlan(stored);
    if (request.isOffline !== true) return 'ordinary';
    const online = room.models.get(request.modelId);
    const model = online && servedOffline(online);
    const [target] = model === undefined ? [] : targetsOf(model);
    const held = target === undefined ? undefined : await findHeld(room, id, stored);
    if (model === undefined || target === undefined || held === undefined) return undefined;
    const choice = describeChoice(model, plan, request, planOutput(model, request).grammar);
    const maxTokens = held.isCapped ? Math.min(plan.maxTokens, held.hold.completionTokens) : plan.maxTokens;
    return { model, request: { ...choice, maxTokens, target: withoutRouting(target) }, heldAt: stored.heldAt };
  };

  return {
    async look(id) {
      const wanted = await find(id);
      if (wanted === undefined || wanted === 'ordinary') return wanted;
      let events: readonly EndpointEvent[] | undefined;
      try {
        events = await offline.fetch(id, wanted.request);
        if (events !== undefined) return createContinuer(roomWith(room, wanted, () => Promise.resolve(events)));
      } catch (error) {
        if (!(error instanceof EndpointUnavailableError || error instanceof EndpointRefusedError)) throw error;
        // The generation tells it, after as many tries as any has.
        if (classify(error) !== 'capacity') return createContinuer(roomWith(room, wanted, () => offline.fetch(id, wanted.request)));
      }
      const waitedSeconds = (room.clock.now() - wanted.heldAt) / 1000;
      await jobs.send(id, Math.round(Math.min(LAST_LOOK_SECONDS, Math.max(FIRST_LOOK_SECONDS, waitedSeconds / 4))));
      return 'later';
    },
    async tidy(id) {
      const head = await readLogHead(room.table, id);
      if (head === undefined || head.ended) await offline.forget(id);
    },
  };
}

/** A room in which the model is served by what was made of this one answer. */
function roomWith(room: Room, { model, request }: Wanted, fetch: () => Promise<readonly EndpointEvent[] | undefined>): Room {
  const endpoint: Endpoint = {
    async *invoke({ promptTokenIds }, signal) {
      for (;;) {
        const events = await fetch();
        if (events !== undefined) return yield* withoutFirst(events, promptTokenIds.length - request.promptTokenIds.length);
        await pause(LOOK_AGAIN_MS, signal);
      }
    },
    score: (asked, signal) => room.endpoint.score(asked, signal),
    embed: (asked, signal) => room.endpoint.embed(asked, signal),
  };
  return { ...room, endpoint, models: new Map(room.models).set(model.served.id, model) };
}

/** @param count tokens that a process handed on before it died. */
function* withoutFirst(events: readonly EndpointEvent[], count: number): Generator<EndpointEvent> {
  let left = count;
  for (const event of events) {
    if (event.type === 'end') yield event;
    else {
      const tokenIds = event.tokenIds.slice(left);
      const logprobs = event.logprobs?.slice(left);
      left = Math.max(0, left - event.tokenIds.length);
      if (tokenIds.length > 0) yield { type: 'tokens', tokenIds, ...(logprobs === undefined ? {} : { logprobs }) };
    }
  }
}
