/** Responses that are kept: found by whoever made them, for 30 days, as OpenAI keeps them. */
import { InvalidRequestError } from '../errors.ts';
import type { Table } from '../services/table.ts';
import type { Item } from './responses-items.ts';
import type { WireResponse } from './responses-object.ts';
import { deleteDocument, readDocument, writeDocument } from './stored-documents.ts';

export const RESPONSE_KEPT_SECONDS = 30 * 24 * 60 * 60;

interface Head {
  readonly response: WireResponse;
  /** Ids of the responses that this one continues, oldest first. */
  readonly ancestors: readonly string[];
  /** Where its events are kept, when it was made in the background. */
  readonly generationId?: string;
}

export interface StoredResponse extends Head {
  readonly input: readonly Item[];
}

export interface ResponsesStore {
  /** Writes the response with what it read. */
  save(stored: StoredResponse): Promise<void>;
  find(id: string): Promise<StoredResponse | undefined>;
  /** False when there is none. */
  delete(id: string): Promise<boolean>;
}

/** Ids come from callers, and stand in keys: what has not the form of one names nothing. */
const RESPONSE_ID = /^resp_[A-Za-z0-9_-]{1,128}$/;

/** @param owner whose responses they are: nobody sees another's. @param now milliseconds since the epoch. */
export function createResponsesStore(table: Table, owner: string, now: () => number): ResponsesStore {
  const partition = (id: string) => `response/${owner}/${id}`;
  const find = async (id: string): Promise<StoredResponse | undefined> => {
    if (!RESPONSE_ID.test(id)) return undefined;
    const [head, input] = await Promise.all([
      readDocument(table, { partition: partition(id), sort: 'head' }),
      readDocument(table, { partition: partition(id), sort: 'input' }),
    ]);
    // Both were written below, by nobody else.
    return head === undefined || input === undefined ? undefined : { ...(head as Head), input: input as readonly Item[] };
  };
  return {
    find,
    async save({ input, ...head }) {
      const { id } = head.response;
      const expiresAt = Math.floor(now() / 1000) + RESPONSE_KEPT_SECONDS;
      await writeDocument(table, { partition: partition(id), sort: 'input' }, input, expiresAt);
      await writeDocument(table, { partition: partition(id), sort: 'head' }, head satisfies Head, expiresAt);
    },
    async delete(id) {
      if ((await find(id)) === undefined) return false;
      for (const sort of ['head', 'input']) await deleteDocument(table, { partition: partition(id), sort });
      return true;
    },
  };
}

/** What was said up to and with this response. @throws {InvalidRequestError} it, or one that it continues, is not there any more. */
export async function loadHistory(
  store: ResponsesStore,
  previousId: string,
): Promise<{ readonly items: readonly Item[]; readonly ancestors: readonly string[] }> {
  const previous = await store.find(previousId);
  if (previous === undefined) throw previousNotFound(previousId);
  if (isRunning(previous.response)) {
    throw new InvalidRequestError(`The response ${previousId} has not ended yet. Wait until its status is \`completed\`.`, {
      param: 'previous_response_id',
    });
  }
  const ancestors = await Promise.all(
    previous.ancestors.map(async (id) => {
      const stored = await store.find(id);
      if (stored === undefined) throw previousNotFound(id);
      return stored;
    }),
  );
  const items = [...ancestors, previous].flatMap(({ input, response }) => [...input, ...outputItems(response)]);
  return { items, ancestors: [...previous.ancestors, previousId] };
}

function previousNotFound(id: string): InvalidRequestError {
  return new InvalidRequestError(`Previous response with id '${id.slice(0, 64)}' not found. Send what was said before in 'input'.`, {
    param: 'previous_response_id',
    code: 'previous_response_not_found',
  });
}

/** What a response has said, as items for the next turn. We write messages, calls and thoughts, and nothing else. */
export function outputItems(response: WireResponse): readonly Item[] {
  return response.output.filter(
    (item): item is Extract<typeof item, Item> => item.type === 'message' || item.type === 'function_call' || item.type === 'reasoning',
  );
}

/** It will say more. */
export function isRunning({ status }: WireResponse): boolean {
  return status === 'queued' || status === 'in_progress';
}
