/** What a response reads: what was said before, then its own input, with instructions in front. */
import { InvalidRequestError } from '../errors.ts';
import type { GenerationRequest } from '../pipeline/generation-request.ts';
import type { Ids } from '../services.ts';
import type { ConversationStore } from './conversation-store.ts';
import { readSampling } from './request-fields.ts';
import { type Item, type ItemReference, readInput, readMessages } from './responses-items.ts';
import { conversationIdOf, includesLogprobs, type PromptBody, type ResponseBody, readOutputOptions } from './responses-request.ts';
import { loadHistory, outputItems, type ResponsesStore } from './responses-store.ts';

export interface Stores {
  readonly responses: ResponsesStore;
  readonly conversations: ConversationStore;
}

export interface ResponsePrompt {
  readonly history: readonly Item[];
  readonly input: readonly Item[];
  /** Ids of the responses that this one continues, oldest first. */
  readonly ancestors: readonly string[];
}

/** @throws {InvalidRequestError | NotFoundError} something that it refers to is not there. */
export async function loadPrompt(body: PromptBody, stores: Stores, ids: Ids): Promise<ResponsePrompt> {
  const { items: history, ancestors } = await loadBefore(body, stores);
  const input = await Promise.all(
    readInput(body.input ?? [], ids).map((item) => (item.type === 'item_reference' ? resolve(item, history, stores.responses) : item)),
  );
  // A reference to what was said before repeats nothing.
  const known = new Set(history.map((item) => item.id));
  return { history, ancestors, input: input.filter((item) => !known.has(item.id)) };
}

async function loadBefore(body: PromptBody, stores: Stores): Promise<{ items: readonly Item[]; ancestors: readonly string[] }> {
  if (typeof body.previous_response_id === 'string') return await loadHistory(stores.responses, body.previous_response_id);
  const conversationId = conversationIdOf(body);
  if (conversationId === undefined) return { items: [], ancestors: [] };
  return { items: (await stores.conversations.listItems(conversationId)).items, ancestors: [] };
}

/** The name of an item that a response says: it holds the response's own. */
export function outputItemId(responseId: string, kind: string, index: number): string {
  return `${kind}_${responseId.slice(RESPONSE_PREFIX.length)}-${index}`;
}

export const RESPONSE_PREFIX = 'resp_';

async function resolve({ id }: ItemReference, history: readonly Item[], responses: ResponsesStore): Promise<Item> {
  const before = history.find((item) => item.id === id);
  if (before !== undefined) return before;
  const name = /^[a-z]+_(.+)-\d+$/.exec(id)?.[1];
  const stored = name === undefined ? undefined : await responses.find(`${RESPONSE_PREFIX}${name}`);
  const item = stored === undefined ? undefined : outputItems(stored.response).find((candidate) => candidate.id === id);
  if (item !== undefined) return item;
  throw new InvalidRequestError(
    `Item with id '${id.slice(0, 64)}' not found. Items are kept when 'store' is true; otherwise send them whole.`,
    {
      param: 'input',
    },
  );
}

/** The same request in the pipeline's words. @throws {InvalidRequestError} tools or a form that cannot be served. */
export function readGenerationRequest(body: ResponseBody, prompt: ResponsePrompt, requestId: string): GenerationRequest {
  return {
    ...readPromptRequest(body, prompt, requestId),
    ...(typeof body.max_output_tokens === 'number' ? { maxTokens: body.max_output_tokens } : {}),
    sampling: readSampling(body),
    ...(includesLogprobs(body) ? { topLogprobs: body.top_logprobs ?? 0 } : {}),
  };
}

/** What decides about the tokens of the prompt; nothing is sampled by it. */
export function readPromptRequest(body: PromptBody, { history, input }: ResponsePrompt, requestId: string): GenerationRequest {
  const instructions = typeof body.instructions === 'string' ? [{ role: 'system', content: body.instructions }] : [];
  const messages = [...instructions, ...readMessages([...history, ...input])];
  if (messages.length === 0) throw new InvalidRequestError("'input' holds no message: send at least one.", { param: 'input' });
  return {
    requestId,
    modelId: body.model,
    prompts: [{ type: 'messages', messages }],
    promptParam: 'input',
    choicesPerPrompt: 1,
    maxTokensParam: 'max_output_tokens',
    sampling: { temperature: 1, topP: 1 },
    stop: [],
    ...readOutputOptions(body),
    ...(body.truncation === 'auto' ? { dropOldestTurns: true } : {}),
  };
}
