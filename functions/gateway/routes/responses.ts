/** `/v1/responses`. https://platform.openai.com/docs/api-reference/responses */
import type { Context } from 'hono';
import { InvalidRequestError, NotFoundError } from '../errors.ts';
import type { Room } from '../generation/room.ts';
import type { RequestVariables } from '../middleware/request-id.ts';
import { createConversationStore } from '../openai/conversation-store.ts';
import { cutPage, type ListPage, parsePageQuery } from '../openai/page-query.ts';
import { answerResponse, type ResponseRun, streamResponse } from '../openai/responses-answer.ts';
import { ResponseEncoder } from '../openai/responses-events.ts';
import type { Item } from '../openai/responses-items.ts';
import { createResponseObject, type WireResponse } from '../openai/responses-object.ts';
import {
  loadPrompt,
  outputItemId,
  RESPONSE_PREFIX,
  readGenerationRequest,
  readPromptRequest,
  type Stores,
} from '../openai/responses-prompt.ts';
import { includesLogprobs, parseInputTokensBody, parseResponseBody } from '../openai/responses-request.ts';
import { createResponsesStore, type StoredResponse } from '../openai/responses-store.ts';
import { countPrompt } from '../pipeline/count-prompt.ts';
import type { Services } from '../services.ts';
import { deliverAnswer } from './deliver-answer.ts';
import { NAMED_EVENTS } from './event-stream.ts';
import { ownerOf } from './owner.ts';
import { readJsonBody } from './read-json-body.ts';

type RouteContext = Context<{ Variables: RequestVariables }>;

export function openStores(c: RouteContext, services: Services): Stores {
  const owner = ownerOf(c);
  return {
    responses: createResponsesStore(services.table, owner, () => services.clock.now()),
    conversations: createConversationStore(services.table, owner),
  };
}

/** `POST /v1/responses` */
export async function createResponse(c: RouteContext, services: Room): Promise<Response> {
  const requestId = c.get('requestId');
  const body = parseResponseBody(await readJsonBody(c));
  if (body.background === true) {
    throw new InvalidRequestError("'background' is not served by this gateway. Leave it out and read the answer as it comes.", {
      param: 'background',
    });
  }
  const stores = openStores(c, services);
  const prompt = await loadPrompt(body, stores, services.ids);
  const request = readGenerationRequest(body, prompt, requestId);
  const id = services.ids.create(RESPONSE_PREFIX);
  const created = Math.floor(services.clock.now() / 1000);
  const encoder = new ResponseEncoder(createResponseObject(body, { id, created, status: 'in_progress' }), {
    obfuscate: body.stream_options?.include_obfuscation ?? true,
    logprobs: includesLogprobs(body),
    itemId: (kind, index) => outputItemId(id, kind, index),
  });
  const run: ResponseRun = { body, prompt, encoder, stores, clock: services.clock, log: services.log, requestId };
  const isStream = body.stream === true;
  return deliverAnswer(c, services, request, { isStream, isStored: body.store !== false }, async (answer) =>
    isStream ? answer.stream(streamResponse(run, answer.events), NAMED_EVENTS) : answer.json(await answerResponse(run, answer.events)),
  );
}

/** `POST /v1/responses/input_tokens` */
export async function countInputTokens(
  c: RouteContext,
  services: Services,
): Promise<{ object: 'response.input_tokens'; input_tokens: number }> {
  const body = parseInputTokensBody(await readJsonBody(c));
  const prompt = await loadPrompt(body, openStores(c, services), services.ids);
  const request = readPromptRequest(body, prompt, c.get('requestId'));
  return { object: 'response.input_tokens', input_tokens: await countPrompt(services.models, request, c.req.raw.signal) };
}

/** `GET /v1/responses/{id}` */
export async function getResponse(c: RouteContext, services: Services): Promise<WireResponse> {
  if (c.req.query('stream') === 'true') {
    throw new InvalidRequestError('This response was not made in the background, so its stream cannot be read again. Leave `stream` out.', {
      param: 'stream',
    });
  }
  return (await getStored(c, services)).response;
}

/** `DELETE /v1/responses/{id}` */
export async function deleteResponse(c: RouteContext, services: Services) {
  const id = idOf(c);
  if (!(await openStores(c, services).responses.delete(id))) throw notFound(id);
  return { id, object: 'response.deleted' as const, deleted: true };
}

/** `POST /v1/responses/{id}/cancel` */
export async function cancelResponse(c: RouteContext, services: Services): Promise<WireResponse> {
  const { response } = await getStored(c, services);
  if (response.background !== true) {
    throw new InvalidRequestError(
      'Only responses that were made with `background` can be cancelled. To stop another, close its connection.',
      {
        param: 'response_id',
      },
    );
  }
  return response;
}

/** `GET /v1/responses/{id}/input_items` */
export async function listInputItems(c: RouteContext, services: Services): Promise<ListPage<Item>> {
  const page = parsePageQuery(c.req.query());
  return cutPage((await getStored(c, services)).input, page);
}

async function getStored(c: RouteContext, services: Services): Promise<StoredResponse> {
  const id = idOf(c);
  const stored = await openStores(c, services).responses.find(id);
  if (stored === undefined) throw notFound(id);
  return stored;
}

function idOf(c: RouteContext): string {
  return c.req.param('id') ?? '';
}

function notFound(id: string): NotFoundError {
  return new NotFoundError(`Response with id '${id.slice(0, 64)}' not found.`, { param: 'response_id' });
}
