import type { Room } from '../generation/room.ts';
import { chooseModel } from './choose-model.ts';
import type { GenerationRequest } from './generation-request.ts';
import { refine } from './refine/refine.ts';
import { refuseSwitchedOff } from './refuse-switched-off.ts';
import { type Admission, type RunningGeneration, runGeneration } from './run-generation.ts';

/** One request, by one generation or by several under one name. @throws {GatewayError} the request cannot be served. */
export async function runRequest(
  room: Room,
  admission: Admission,
  request: GenerationRequest,
  signal: AbortSignal,
): Promise<RunningGeneration> {
  const model = chooseModel(room.models, request.modelId, admission.caller.models);
  await refuseSwitchedOff(room.switches, request.modelId);
  if (model.pipeline === undefined) return await runGeneration(room, admission, request, signal);
  await refuseSwitchedOff(room.switches, model.pipeline.model);
  return await refine(room, admission, model.pipeline, request, signal);
}
