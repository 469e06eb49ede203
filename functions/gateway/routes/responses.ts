/** `/v1/responses`. https://platform.openai.com/docs/api-reference/responses */
import type { Context } from 'hono';
import { GenerationLostError, InvalidRequestError, NotFoundError } from '../errors.ts';
import type { Room } from '../generation/room.ts';
import { deleteLog } from '../generation/token-log.ts';
import type { RequestVariables } from '../middleware/request-id.ts';
import { createConversationStore } from '../openai/conversation-store.ts';
import { cutPage, type ListPage, parsePageQuery } from '../openai/page-query.ts';
import { readEndUsers } from '../openai/request-fields.ts';
import { answerResponse, describeRun, type ResponseRun, streamResponse } from '../openai/responses-answer.ts';
import { ResponseEncoder } from '../openai/responses-events.ts';
import type { Item } from '../openai/responses-items.ts';
import { createResponseObject, failResponse } from '../openai/responses-object.ts';
import {
  loadPrompt,
  outputItemId,
  RESPONSE_PREFIX,
  readGenerationRequest,
  readPromptRequest,
  type Stores,
} from '../openai/responses-prompt.ts';
import {
  conversationIdOf,
  includesLogprobs,
  parseInputTokensBody,
  parseResponseBody,
  type ResponseBody,
  withoutRetention,
} from '../openai/responses-request.ts';
import { createResponsesStore, isRunning, type StoredResponse } from '../openai/responses-store.ts';
import { countPrompt } from '../pipeline/count-prompt.ts';
import { servedOffline } from '../pipeline/served-offline.ts';
import type { Services } from '../services.ts';
import type { WriterKind } from './answer-writer.ts';
import { deliverAnswer } from './deliver-answer.ts';
import { NAMED_EVENTS } from './event-stream.ts';
import { ownerOf } from './owner.ts';
import { readJsonBody } from './read-json-body.ts';
import { followAnswer } from './replay-answer.ts';

type RouteContext = Context<{ Variables: RequestVariables }>;

export function openStores(c: RouteContext, services: Services): Stores {
  return storesOf(ownerOf(c), services);
}

function storesOf(owner: string, services: Services): Stores {
  return {
    responses: createResponsesStore(services.table, owner, () => services.clock.now()),
    conversations: createConversationStore(services.table, owner),
  };
}

/** `POST /v1/responses` */
export async function createResponse(c: RouteContext, services: Room): Promise<Response> {
  const requestId = c.get('requestId');
  const parsed = parseResponseBody(await readJsonBody(c));
  const body = services.config.tokenLog.keep === 'never' ? withoutRetention(parsed) : parsed;
  const isStream = body.stream === true;
  const isBackground = body.background === true;
  if (isBackground && !isStream && !services.config.seesDisconnects && services.jobs === undefined) {
    throw new InvalidRequestError("'background' needs 'stream' to be true here: this function ends with its answer.", {
      param: 'background',
    });
  }
  const stores = openStores(c, services);
  const prompt = await loadPrompt(body, stores, services.ids);
  const isOffline = isBackground && !isStream && body.service_tier === 'flex' && canBeOffline(services, body.model);
  const request = { ...readGenerationRequest(body, prompt, requestId), ...(isOffline ? { isOffline } : {}) };
  const id = services.ids.create(RESPONSE_PREFIX);
  const created = Math.floor(services.clock.now() / 1000);
  // The answer tells the tier that it was given.
  const { input: _input, service_tier: _tier, ...others } = body;
  const rest: ResponseBody = isOffline ? { ...others, service_tier: 'flex' } : others;
  const { input, ancestors } = prompt;
  const state = { id, created, isBackground, owner: ownerOf(c), body: rest, prompt: { input, ancestors } };
  const conversationId = conversationIdOf(body);
  const session = body.prompt_cache_key ?? conversationId ?? ancestors[0] ?? body.previous_response_id;
  const form = {
    isStream,
    isStored: body.store !== false,
    isBackground,
    endUser: {
      users: readEndUsers(body),
      ...(body.store === false ? {} : { responseId: id }),
      ...(conversationId === undefined ? {} : { conversationId }),
    },
    ...(typeof session === 'string' ? { session } : {}),
    writer: { kind: responseWriters, state },
  };
  return deliverAnswer(c, services, request, form, async (answer) => {
    if (!isBackground) return isStream ? answer.stream() : await answer.json();
    const queued = describeStart(state);
    await stores.responses.save(describeRun({ prompt, generationId: answer.generationId }, queued));
    return isStream ? answer.stream() : await answer.background(queued);
  });
}

/** The answer may be made when a machine has time: what takes it from the queue has one for this model. */
function canBeOffline({ jobs, models }: Room, modelId: string): boolean {
  const model = models.get(modelId);
  return jobs !== undefined && model !== undefined && servedOffline(model) !== undefined;
}

/** What is fixed of a response when it begins. */
interface ResponseState {
  readonly id: string;
  readonly created: number;
  readonly isBackground: boolean;
  readonly owner: string;
  readonly body: ResponseBody;
  readonly prompt: ResponseRun['prompt'];
}

function describeStart({ body, id, created, isBackground }: ResponseState): ResponseEncoder['response'] {
  return createResponseObject(body, { id, created, status: isBackground ? 'queued' : 'in_progress' });
}

export const responseWriters: WriterKind<ResponseState> = {
  name: 'responses',
  create(room, state, { request, generationId }) {
    const { id, body, prompt, owner, isBackground } = state;
    const encoder = new ResponseEncoder(describeStart(state), {
      obfuscate: body.stream_options?.include_obfuscation ?? true,
      logprobs: includesLogprobs(body),
      itemId: (kind, index) => outputItemId(id, kind, index),
    });
    const { clock, log } = room;
    const run: ResponseRun = {
      ...{ body, prompt, encoder, clock, log, requestId: request.requestId },
      stores: storesOf(owner, room),
      ...(isBackground ? { generationId } : {}),
    };
    return { framing: NAMED_EVENTS, chunks: (events) => streamResponse(run, events), whole: (events) => answerResponse(run, events) };
  },
};

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

/** `GET /v1/responses/{id}`; with `stream=true` its events from `starting_after` on, when it was made in the background. */
export async function getResponse(c: RouteContext, room: Room): Promise<Response> {
  if (c.req.query('stream') !== 'true') return c.json((await getStored(c, room)).response);
  const after = parseStartingAfter(c.req.query('starting_after'));
  const { generationId } = await getStored(c, room);
  if (generationId === undefined) {
    throw new InvalidRequestError('This response was not made in the background, so its events are not kept. Leave `stream` out.', {
      param: 'stream',
    });
  }
  await room.logs.head(generationId, c.get('caller').keyId);
  return followAnswer(c, room, generationId, after, { framing: NAMED_EVENTS });
}

/** Events are numbered from 0 in a response, and from 1 where they are kept. */
function parseStartingAfter(text: string | undefined): number {
  if (text === undefined || text === '') return 0;
  if (/^\d{1,9}$/.test(text)) return Number(text) + 1;
  throw new InvalidRequestError("'starting_after' must be the sequence number of an event.", { param: 'starting_after' });
}

/** `DELETE /v1/responses/{id}`: its events too, and it is not made any further. */
export async function deleteResponse(c: RouteContext, room: Room): Promise<Response> {
  const { response, generationId } = await getStored(c, room);
  const { id } = response;
  if (!(await openStores(c, room).responses.delete(id))) throw notFound(id);
  if (generationId !== undefined) {
    if (isRunning(response)) await room.logs.cancel(generationId);
    await deleteLog(room.table, generationId);
  }
  return c.json({ id, object: 'response.deleted', deleted: true });
}

/** `POST /v1/responses/{id}/cancel`: again and again, if need be, with the same answer. */
export async function cancelResponse(c: RouteContext, room: Room): Promise<Response> {
  const { response, generationId } = await getStored(c, room);
  if (generationId === undefined) {
    throw new InvalidRequestError(
      'Only responses that were made with `background` can be cancelled. To stop another, close its connection.',
      { param: 'response_id' },
    );
  }
  if (isRunning(response)) {
    await room.logs.cancel(generationId);
    const signal = AbortSignal.any([c.req.raw.signal, AbortSignal.timeout(CANCEL_WAIT_MS)]);
    // Its last event says that it has ended, here or in another process.
    for await (const _ of untilAborted(
      room.logs.follow(generationId, 0, () => '', signal),
      signal,
    ));
  }
  return c.json((await getStored(c, room)).response);
}

/** How long a cancellation may take to arrive. */
const CANCEL_WAIT_MS = 5_000;

async function* untilAborted<Event>(events: AsyncIterable<Event>, signal: AbortSignal): AsyncGenerator<Event> {
  try {
    yield* events;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** `GET /v1/responses/{id}/input_items` */
export async function listInputItems(c: RouteContext, room: Room): Promise<ListPage<Item>> {
  const page = parsePageQuery(c.req.query());
  return cutPage((await getStored(c, room)).input, page);
}

async function getStored(c: RouteContext, room: Room): Promise<StoredResponse> {
  const id = idOf(c);
  const { responses } = openStores(c, room);
  const stored = await responses.find(id);
  if (stored === undefined) throw notFound(id);
  const { generationId, response } = stored;
  if (generationId === undefined || !isRunning(response) || (await room.logs.isMade(generationId))) return stored;
  // It may have ended between the two looks; if it has not, nobody will end it any more.
  const now = (await responses.find(id)) ?? stored;
  if (!isRunning(now.response)) return now;
  const lost = { ...now, response: failResponse(now.response, now.response.output, new GenerationLostError().message, false) };
  await responses.save(lost);
  return lost;
}

function idOf(c: RouteContext): string {
  return c.req.param('id') ?? '';
}

function notFound(id: string): NotFoundError {
  return new NotFoundError(`Response with id '${id.slice(0, 64)}' not found.`, { param: 'response_id' });
}
