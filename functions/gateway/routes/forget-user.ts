/** `POST /v1/admin/users/forget`: deletes everything that is kept of one end user. The name comes in the body: paths stand in access logs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { GenerationNotFoundError, InvalidRequestError, NotFoundError } from '../errors.ts';
import type { KeptAnswer } from '../generation/end-users.ts';
import type { Room } from '../generation/room.ts';
import { forgetUserSchema } from '../openai/admin-request.ts';
import { createConversationStore } from '../openai/conversation-store.ts';
import { parseBody } from '../openai/parse-body.ts';
import { createResponsesStore } from '../openai/responses-store.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** How long an answer that is being made may take to stop, and how often it is looked at. */
const STOP_MS = 5_000;
const POLL_MS = 50;

/**
 * Answers that are still being made are stopped first. What was deleted when this fails stays deleted, and the same call goes on with the rest.
 * Lines of the ledger stay: they name no user and have no text.
 */
export async function forgetUser(c: RouteContext, room: Room): Promise<Response> {
  const { user, organization_id: organizationId = c.get('caller').organizationId } = parseBody(forgetUserSchema, await readJsonBody(c));
  const deleted = { generations: 0, responses: 0, conversations: 0 };
  for (const kept of await room.endUsers.list(organizationId, user)) {
    if (await forgetGeneration(room, kept)) deleted.generations += 1;
    if (await forgetResponse(room, kept)) deleted.responses += 1;
    if (await forgetConversation(room, kept)) deleted.conversations += 1;
    await room.endUsers.remove(organizationId, user, kept.generationId);
  }
  return c.json({ object: 'user.forgotten', organization_id: organizationId, ...deleted });
}

async function forgetGeneration({ logs, clock }: Room, { generationId, ownerId }: KeptAnswer): Promise<boolean> {
  const giveUpAt = clock.now() + STOP_MS;
  try {
    for (let isCancelled = false; ; await sleep(POLL_MS)) {
      const { ended, isLost } = await logs.head(generationId, ownerId);
      if (ended || isLost === true) break;
      if (clock.now() > giveUpAt) {
        throw new InvalidRequestError(`The generation ${generationId} is still running and did not stop. Try again.`, {
          code: 'generation_running',
        });
      }
      if (!isCancelled) await logs.cancel(generationId);
      isCancelled = true;
    }
    await logs.forget(generationId);
    return true;
  } catch (error) {
    if (error instanceof GenerationNotFoundError) return false; // it was deleted by itself, or its time is over
    throw error;
  }
}

async function forgetResponse({ table, clock }: Room, { responseId, ownerId }: KeptAnswer): Promise<boolean> {
  return responseId !== undefined && (await createResponsesStore(table, ownerId, () => clock.now()).delete(responseId));
}

async function forgetConversation({ table }: Room, { conversationId, ownerId }: KeptAnswer): Promise<boolean> {
  if (conversationId === undefined) return false;
  try {
    await createConversationStore(table, ownerId).delete(conversationId);
    return true;
  } catch (error) {
    if (error instanceof NotFoundError) return false;
    throw error;
  }
}
