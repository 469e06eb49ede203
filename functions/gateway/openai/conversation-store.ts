/** Conversations: items in the order in which they were added, kept until somebody deletes them. */
import { InvalidRequestError, NotFoundError } from '../errors.ts';
import type { Attributes, ListOptions, Table } from '../services/table.ts';
import type { Item } from './responses-items.ts';
import { deleteDocument, listDocuments, readDocument, writeDocument } from './stored-documents.ts';

export type Metadata = Readonly<Record<string, string>>;

export interface StoredConversation {
  readonly id: string;
  /** Unix time in seconds. */
  readonly created: number;
  readonly metadata: Metadata;
}

export interface ItemPage {
  /** Id of the last item that was seen. */
  readonly after?: string;
  readonly limit: number;
  readonly order: 'asc' | 'desc';
}

export interface ConversationStore {
  create(conversation: StoredConversation): Promise<void>;
  /** @throws {NotFoundError} */
  get(id: string): Promise<StoredConversation>;
  /** @throws {NotFoundError} */
  setMetadata(id: string, metadata: Metadata): Promise<StoredConversation>;
  /** Deletes its items too: nobody could find them any more. @throws {NotFoundError} */
  delete(id: string): Promise<void>;
  /** Adds at the end. @throws {NotFoundError} @throws {InvalidRequestError} an item of that id is there already. */
  addItems(id: string, items: readonly Item[], param: string): Promise<void>;
  /** @throws {NotFoundError} */
  listItems(id: string, page?: ItemPage): Promise<{ readonly items: readonly Item[]; readonly hasMore: boolean }>;
  /** @throws {NotFoundError} */
  getItem(id: string, itemId: string): Promise<Item>;
  /** @throws {NotFoundError} */
  deleteItem(id: string, itemId: string): Promise<StoredConversation>;
}

/** Ids come from callers, and stand in keys: what has not the form of one names nothing. */
const CONVERSATION_ID = /^conv_[A-Za-z0-9_-]{1,128}$/;
const LONGEST_ITEM_ID = 256;

/** @param owner whose conversations they are: nobody sees another's. */
export function createConversationStore(table: Table, owner: string): ConversationStore {
  const headKey = (id: string) => ({ partition: `conversation/${owner}/${id}`, sort: 'head' });
  const itemKey = (id: string, place: string) => ({ partition: `conversation/${owner}/${id}/items`, sort: place });
  const nameKey = (id: string, itemId: string) => ({ partition: `conversation/${owner}/${id}/names`, sort: itemId });

  const get = async (id: string) => {
    const row = CONVERSATION_ID.test(id) ? await table.read(headKey(id)) : undefined;
    if (row === undefined) throw conversationNotFound(id);
    return readHead(id, row.attributes);
  };
  const placeOf = async (id: string, itemId: string, param: string | null) => {
    const isName = itemId !== '' && itemId.length <= LONGEST_ITEM_ID;
    const place = isName ? (await table.read(nameKey(id, itemId)))?.attributes['place'] : undefined;
    if (typeof place !== 'string')
      throw new NotFoundError(`Item with id '${itemId.slice(0, 64)}' not found in conversation '${id}'.`, { param });
    return place;
  };

  return {
    get,
    async create({ id, created, metadata }) {
      await table.write({ type: 'put', key: headKey(id), attributes: { created, metadata: JSON.stringify(metadata), length: 0 } });
    },
    async setMetadata(id, metadata) {
      if (!CONVERSATION_ID.test(id)) throw conversationNotFound(id);
      const set = { metadata: JSON.stringify(metadata) };
      const { written, row } = await table.write({ type: 'update', key: headKey(id), set, if: [{ row: 'present' }] });
      if (!written || row === undefined) throw conversationNotFound(id);
      return readHead(id, row.attributes);
    },
    async delete(id) {
      await get(id);
      const names = await table.list(nameKey(id, '').partition);
      for (const { sort } of await listDocuments(table, itemKey(id, '').partition)) await deleteDocument(table, itemKey(id, sort));
      for (const { key } of names) await table.write({ type: 'delete', key });
      await table.write({ type: 'delete', key: headKey(id) });
    },
    async addItems(id, items, param) {
      if (items.length === 0) return;
      if (!CONVERSATION_ID.test(id)) throw conversationNotFound(id);
      // The counter gives each writer places of its own, so that writers at the same time do not meet.
      const { written, row } = await table.write({
        type: 'update',
        key: headKey(id),
        add: { length: items.length },
        if: [{ row: 'present' }],
      });
      if (!written || row === undefined) throw conversationNotFound(id);
      const first = Number(row.attributes['length']) - items.length;
      for (const [index, item] of items.entries()) {
        const place = String(first + index).padStart(12, '0');
        const named = await table.write({ type: 'put', key: nameKey(id, item.id), attributes: { place }, if: [{ row: 'absent' }] });
        if (!named.written) {
          throw new InvalidRequestError(`Item with id '${item.id.slice(0, 64)}' is in the conversation already.`, { param });
        }
        await writeDocument(table, itemKey(id, place), item);
      }
    },
    async listItems(id, page) {
      await get(id);
      const options: ListOptions = page === undefined ? {} : { limit: page.limit + 1, newestFirst: page.order === 'desc' };
      const after = page?.after === undefined ? undefined : await placeOf(id, page.after, 'after');
      const bounds = after === undefined ? {} : page?.order === 'desc' ? { until: after } : { from: `${after}\u0001` };
      const documents = await listDocuments(table, itemKey(id, '').partition, { ...options, ...bounds });
      const items = documents.map(({ document }) => document as Item); // written by `addItems`
      return { items: page === undefined ? items : items.slice(0, page.limit), hasMore: page !== undefined && items.length > page.limit };
    },
    async getItem(id, itemId) {
      await get(id);
      const item = await readDocument(table, itemKey(id, await placeOf(id, itemId, null)));
      return item as Item; // written by `addItems`
    },
    async deleteItem(id, itemId) {
      const conversation = await get(id);
      await deleteDocument(table, itemKey(id, await placeOf(id, itemId, null)));
      await table.write({ type: 'delete', key: nameKey(id, itemId) });
      return conversation;
    },
  };
}

function readHead(id: string, { created, metadata }: Attributes): StoredConversation {
  return { id, created: Number(created), metadata: JSON.parse(String(metadata)) };
}

function conversationNotFound(id: string): NotFoundError {
  return new NotFoundError(`Conversation with id '${id.slice(0, 64)}' not found.`, { param: 'conversation' });
}
