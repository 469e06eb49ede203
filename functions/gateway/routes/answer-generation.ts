import type { Room } from '../generation/room.ts';
import type { AnswerHead, AnswerRequest } from '../openai/answer.ts';
import { type Delivery, type ParsedRequest, readEndUsers } from '../openai/request-fields.ts';
import type { GenerationEvent } from '../pipeline/generation-request.ts';
import { type AnswerWriter, createDerivedIds, type WriterKind } from './answer-writer.ts';
import { deliverAnswer } from './deliver-answer.ts';
import { DATA_EVENTS } from './event-stream.ts';
import { readJsonBody } from './read-json-body.ts';
import type { RouteContext } from './route-context.ts';

/** How one path reads its requests and writes its answers. */
export interface GenerationFormat {
  readonly name: string;
  readonly idPrefix: string;
  /** @param text the body as it was sent. */
  parse(body: unknown, requestId: string, text: string): ParsedRequest;
  encodeWhole(events: AsyncIterable<GenerationEvent>, request: AnswerRequest, head: AnswerHead): Promise<object>;
  encodeChunks(
    events: AsyncIterable<GenerationEvent>,
    request: AnswerRequest,
    head: AnswerHead,
    delivery: Delivery,
  ): AsyncGenerator<object>;
}

/** From the body to the answer, streamed or whole. */
export async function answerGeneration(c: RouteContext, room: Room, format: GenerationFormat): Promise<Response> {
  const requestId = c.get('requestId');
  const body = await readJsonBody(c);
  const { request, delivery } = format.parse(body, requestId, await c.req.text());
  const state = { id: room.ids.create(format.idPrefix), created: Math.floor(room.clock.now() / 1000), delivery };
  const fields = isRecord(body) ? body : {};
  const form = {
    isStream: delivery.stream,
    isStored: fields['store'] !== false,
    endUser: { users: readEndUsers(fields) },
    ...(typeof fields['prompt_cache_key'] === 'string' ? { session: fields['prompt_cache_key'] } : {}),
    writer: { kind: writersOf(format), state },
  };
  return deliverAnswer(c, room, request, form, async (answer) => (delivery.stream ? answer.stream() : await answer.json()));
}

/** What is fixed of an answer when it begins. */
interface AnswerState {
  readonly id: string;
  readonly created: number;
  readonly delivery: Delivery;
}

export function writersOf(format: GenerationFormat): WriterKind<AnswerState> {
  return {
    name: format.name,
    create(_room, { id, created, delivery }, { request }): AnswerWriter {
      const head = { id, created, ids: createDerivedIds(id) };
      return {
        framing: DATA_EVENTS,
        chunks: (events) => format.encodeChunks(events, request, head, delivery),
        whole: (events) => format.encodeWhole(events, request, head),
      };
    },
  };
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
