import type { Room } from '../generation/room.ts';
import { encodeModerations, parseModerationRequest } from '../openai/moderation.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** `POST /v1/moderations` */
export async function moderate(c: RouteContext, room: Room): Promise<ReturnType<typeof encodeModerations>> {
  const texts = parseModerationRequest(await readJsonBody(c));
  const { signal } = c.req.raw;
  const safety = await room.policies.find(c.get('caller'));
  const moderations = await Promise.all(
    texts.map(async (text) => ({
      checked: await room.moderation.reviewedCheck(text, 'input', signal),
      decided: safety && (await safety.input.reviewedCheck(text, 'input', signal)).verdict,
    })),
  );
  return encodeModerations(moderations, room.ids.create('modr-'));
}
