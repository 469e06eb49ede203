/** `/v1/conversations`, in. https://platform.openai.com/docs/api-reference/conversations */
import * as v from 'valibot';
import { InvalidRequestError } from '../errors.ts';
import type { Ids } from '../services.ts';
import type { Metadata } from './conversation-store.ts';
import { parseBody } from './parse-body.ts';
import { metadata, nullish } from './request-fields.ts';
import { type Item, readItem, wireItems } from './responses-items.ts';

const items = v.pipe(wireItems, v.maxLength(20, 'takes at most 20 items at a time.'));

export const conversationSchema = v.strictObject({ items: nullish(items), metadata: nullish(metadata) });
export const conversationUpdateSchema = v.strictObject({ metadata: v.nullable(metadata) });
export const newItemsSchema = v.strictObject({ items: v.pipe(items, v.minLength(1, 'must have at least one item.')) });

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseConversation(body: unknown, ids: Ids): { readonly items: readonly Item[]; readonly metadata: Metadata } {
  const parsed = parseBody(conversationSchema, body);
  return { items: readItems(parsed.items ?? [], ids), metadata: parsed.metadata ?? {} };
}

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseConversationUpdate(body: unknown): Metadata {
  return parseBody(conversationUpdateSchema, body).metadata ?? {};
}

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseNewItems(body: unknown, ids: Ids): readonly Item[] {
  return readItems(parseBody(newItemsSchema, body).items, ids);
}

function readItems(wire: v.InferOutput<typeof items>, ids: Ids): readonly Item[] {
  return wire.map((one, index) => {
    const item = readItem(one, ids);
    if (item.type !== 'item_reference') return item;
    throw new InvalidRequestError("'items' takes whole items, not references.", { param: `items.${index}.type` });
  });
}
