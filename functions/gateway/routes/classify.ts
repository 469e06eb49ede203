import type { Room } from '../generation/room.ts';
import { parseClassifyRequest } from '../openai/classify-request.ts';
import { encodeClassifications } from '../openai/classify-response.ts';
import { chooseModel } from '../pipeline/choose-model.ts';
import { planClassification } from '../pipeline/classify/classify.ts';
import { type PriorCache, priorKey } from '../pipeline/classify/prior-cache.ts';
import { meterPrompt } from '../pipeline/meter-prompt.ts';
import { refuseSwitchedOff } from '../pipeline/refuse-switched-off.ts';
import { scoreTokens } from '../pipeline/score-tokens.ts';
import { screenTexts } from '../safety/screen-texts.ts';
import { deploymentOf } from '../served-models.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** `POST /v1/classify` */
export async function classify(c: RouteContext, room: Room, priors: PriorCache): Promise<ReturnType<typeof encodeClassifications>> {
  const requestId = c.get('requestId');
  const caller = c.get('caller');
  const request = parseClassifyRequest(await readJsonBody(c));
  const model = chooseModel(room.models, request.modelId, caller.models);
  await refuseSwitchedOff(room.switches, request.modelId);
  const key = await priorKey(model, request.task, request.decideEach);
  const { texts, verdicts } = await screenTexts(room, caller, request.inputs, { param: 'input', requestId, signal: c.req.raw.signal });
  const plan = planClassification(model, request.task, texts, request.decideEach, priors.get(key));
  const prompts = plan.prompts.map((prompt) => prompt.tokenIds);
  const { promptTokens } = plan;
  const admission = { caller, generationId: room.ids.create('gen_') };
  const { id, price } = model.served;
  const deployment = deploymentOf(room.models, model.served);
  const scores = await meterPrompt(room, admission, { id, price, deployment, requestId, promptTokens, verdicts }, async () => ({
    result: await scoreTokens(room, model, prompts, requestId, c.req.raw.signal),
    promptTokens,
  }));
  const { classifications, prior } = plan.read(scores);
  priors.set(key, prior);
  const head = { id: room.ids.create('classify-'), created: Math.floor(room.clock.now() / 1000), promptTokens };
  return encodeClassifications(classifications, request, head);
}
