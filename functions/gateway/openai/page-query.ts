/** `limit`, `order` and `after` of a list, and the list's shape. https://platform.openai.com/docs/api-reference/responses/input-items */
import * as v from 'valibot';
import { InvalidRequestError } from '../errors.ts';
import { parseBody } from './parse-body.ts';
import { string } from './request-fields.ts';

const schema = v.object({
  limit: v.optional(
    v.pipe(
      string,
      v.regex(/^\d{1,3}$/, 'must be a whole number from 1 to 100.'),
      v.transform(Number),
      v.minValue(1, 'must be at least 1.'),
      v.maxValue(100, 'must be at most 100.'),
    ),
    '20',
  ),
  order: v.optional(v.picklist(['asc', 'desc'], 'must be asc or desc.'), 'desc'),
  after: v.optional(string),
});

/** @throws {InvalidRequestError} naming the parameter at fault. */
export function parsePageQuery(query: Readonly<Record<string, string>>) {
  const { after, ...page } = parseBody(schema, query);
  return after === undefined || after === '' ? page : { ...page, after };
}

export interface ListPage<Entry> {
  readonly object: 'list';
  readonly data: readonly Entry[];
  readonly first_id: string;
  readonly last_id: string;
  readonly has_more: boolean;
}

/** The ids of an empty page are empty: the API's document has them as strings. */
export function encodeList<Entry extends { readonly id: string }>(data: readonly Entry[], hasMore: boolean): ListPage<Entry> {
  return { object: 'list', data, first_id: data[0]?.id ?? '', last_id: data.at(-1)?.id ?? '', has_more: hasMore };
}

/** One page of what is all here already. `entries` are the oldest first. */
export function cutPage<Entry extends { readonly id: string }>(
  entries: readonly Entry[],
  { limit, order, after }: { readonly limit: number; readonly order: 'asc' | 'desc'; readonly after?: string },
): ListPage<Entry> {
  const ordered = order === 'asc' ? entries : [...entries].reverse();
  const start = after === undefined ? 0 : ordered.findIndex((entry) => entry.id === after) + 1;
  if (after !== undefined && start === 0) throw new InvalidRequestError("'after' names nothing in this list.", { param: 'after' });
  return encodeList(ordered.slice(start, start + limit), ordered.length > start + limit);
}
