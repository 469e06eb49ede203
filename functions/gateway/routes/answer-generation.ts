import type { Room } from '../generation/room.ts';
import type { AnswerHead } from '../openai/answer.ts';
import type { Delivery, ParsedRequest } from '../openai/request-fields.ts';
import type { GenerationEvent, GenerationRequest } from '../pipeline/generation-request.ts';
import { deliverAnswer } from './deliver-answer.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** How one path reads its requests and writes its answers. */
export interface GenerationFormat {
  readonly idPrefix: string;
  /** @param text the body as it was sent. */
  parse(body: unknown, requestId: string, text: string): ParsedRequest;
  encodeWhole(events: AsyncIterable<GenerationEvent>, request: GenerationRequest, head: AnswerHead): Promise<object>;
  encodeChunks(
    events: AsyncIterable<GenerationEvent>,
    request: GenerationRequest,
    head: AnswerHead,
    delivery: Delivery,
  ): AsyncGenerator<object>;
}

/** From the body to the answer, streamed or whole. */
export async function answerGeneration(c: RouteContext, room: Room, format: GenerationFormat): Promise<Response> {
  const requestId = c.get('requestId');
  const body = await readJsonBody(c);
  const { request, delivery } = format.parse(body, requestId, await c.req.text());
  const head = { id: room.ids.create(format.idPrefix), created: Math.floor(room.clock.now() / 1000), ids: room.ids };
  const isStored = !isRecord(body) || body['store'] !== false;
  return deliverAnswer(c, room, request, { isStream: delivery.stream, isStored }, async (answer) =>
    delivery.stream
      ? answer.stream(format.encodeChunks(answer.events, request, head, delivery))
      : answer.json(await format.encodeWhole(answer.events, request, head)),
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
