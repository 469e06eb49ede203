/** `GET /v1/admin/endpoints`: how the machines behind each model are, and what this process has seen of them. */
import type { Room } from '../generation/room.ts';
import { readTarget, targetsOf } from '../pipeline/hold-tokens.ts';
import { type WeightedTarget, withoutRouting } from '../routing/choose-target.ts';
import type { RouteContext } from './route-context.ts';

export async function listEndpoints(c: RouteContext, room: Room): Promise<Response> {
  const models = [...room.models.values()].filter(({ pipeline }) => pipeline === undefined);
  const generating = models.flatMap((model) => targetsOf(model).map((target) => describeTarget(room, model.served.id, target)));
  const embedding = room.config.embeddingModels.map(({ id, endpoint }) => describeTarget(room, id, readTarget(endpoint)));
  return c.json({ object: 'list', data: await Promise.all([...generating, ...embedding]) });
}

async function describeTarget(room: Room, model: string, weighted: WeightedTarget) {
  const target = withoutRouting(weighted);
  const said = await room.statuses.ask(target).then(
    (status) => status ?? { status: 'NotFound' },
    (error: unknown) => ({ status: 'Unknown', failure: causeOf(error) }),
  );
  const { status, copies, changedAt, failure } = { copies: undefined, changedAt: undefined, failure: undefined, ...said };
  return {
    model,
    region: target.region ?? null,
    endpoint: target.endpointName,
    inference_component: target.inferenceComponent ?? null,
    status,
    copies: copies ?? null,
    changed_at: changedAt === undefined ? null : Math.floor(changedAt / 1000),
    failure: failure ?? null,
    in_progress: room.health.of(target).outstanding,
    circuit: room.health.isOpen(target, room.clock.now()) ? 'open' : 'closed',
  };
}

/** For whoever runs the gateway: AWS's own word. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
}
