/** `/v1/conversations`. https://platform.openai.com/docs/api-reference/conversations */
import type { Context } from 'hono';
import { NothingIsKeptError } from '../errors.ts';
import type { Room } from '../generation/room.ts';
import type { RequestVariables } from '../middleware/request-id.ts';
import { parseConversation, parseConversationUpdate, parseNewItems } from '../openai/conversation-request.ts';
import type { StoredConversation } from '../openai/conversation-store.ts';
import { encodeList, type ListPage, parsePageQuery } from '../openai/page-query.ts';
import type { Item } from '../openai/responses-items.ts';
import type { Services } from '../services.ts';
import { readJsonBody } from './read-json-body.ts';
import { openStores } from './responses.ts';

type RouteContext = Context<{ Variables: RequestVariables }>;

/** `POST /v1/conversations` */
export async function createConversation(c: RouteContext, room: Room) {
  refuseToKeep(room);
  const { items, metadata } = parseConversation(await readJsonBody(c, {}), room.ids);
  const { conversations } = openStores(c, room);
  const conversation = { id: room.ids.create('conv_'), created: Math.floor(room.clock.now() / 1000), metadata };
  await conversations.create(conversation);
  await conversations.addItems(conversation.id, items, 'items');
  return encodeConversation(conversation);
}

/** `GET /v1/conversations/{id}` */
export async function getConversation(c: RouteContext, services: Services) {
  return encodeConversation(await openStores(c, services).conversations.get(idOf(c)));
}

/** `POST /v1/conversations/{id}` */
export async function updateConversation(c: RouteContext, room: Room) {
  refuseToKeep(room);
  const metadata = parseConversationUpdate(await readJsonBody(c));
  return encodeConversation(await openStores(c, room).conversations.setMetadata(idOf(c), metadata));
}

/** `DELETE /v1/conversations/{id}` */
export async function deleteConversation(c: RouteContext, services: Services) {
  const id = idOf(c);
  await openStores(c, services).conversations.delete(id);
  return { id, object: 'conversation.deleted' as const, deleted: true };
}

/** `POST /v1/conversations/{id}/items` */
export async function addConversationItems(c: RouteContext, room: Room): Promise<ListPage<Item>> {
  refuseToKeep(room);
  const items = parseNewItems(await readJsonBody(c), room.ids);
  await openStores(c, room).conversations.addItems(idOf(c), items, 'items');
  return encodeList(items, false);
}

/** `GET /v1/conversations/{id}/items` */
export async function listConversationItems(c: RouteContext, services: Services): Promise<ListPage<Item>> {
  const page = parsePageQuery(c.req.query());
  const { items, hasMore } = await openStores(c, services).conversations.listItems(idOf(c), page);
  return encodeList(items, hasMore);
}

/** `GET /v1/conversations/{id}/items/{item}` */
export async function getConversationItem(c: RouteContext, services: Services): Promise<Item> {
  return await openStores(c, services).conversations.getItem(idOf(c), c.req.param('item') ?? '');
}

/** `DELETE /v1/conversations/{id}/items/{item}` */
export async function deleteConversationItem(c: RouteContext, services: Services) {
  return encodeConversation(await openStores(c, services).conversations.deleteItem(idOf(c), c.req.param('item') ?? ''));
}

function encodeConversation({ id, created, metadata }: StoredConversation) {
  return { id, object: 'conversation' as const, created_at: created, metadata };
}

function idOf(c: RouteContext): string {
  return c.req.param('id') ?? '';
}

function refuseToKeep({ config }: Room): void {
  if (config.tokenLog.keep === 'never') throw new NothingIsKeptError();
}
