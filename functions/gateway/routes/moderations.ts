import type { Room } from '../generation/room.ts';
import { encodeModerations, parseModerationRequest } from '../openai/moderation.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** `POST /v1/moderations` */
export async function moderate(c: RouteContext, room: Room): Promise<ReturnType<typeof encodeModerations>> {
  const texts = parseModerationRequest(await readJsonBody(c));
  const checked = await Promise.all(texts.map((text) => room.moderation.reviewedCheck(text, 'input', c.req.raw.signal)));
  return encodeModerations(checked, room.ids.create('modr-'));
}
