import type { Context } from 'hono';
import type { RequestVariables } from '../middleware/request-id.ts';
import type { AnswerHead } from '../openai/answer.ts';
import type { Delivery, ParsedRequest } from '../openai/request-fields.ts';
import { begin } from '../pipeline/begin.ts';
import type { GenerationEvent, GenerationRequest } from '../pipeline/generation-request.ts';
import { runGeneration } from '../pipeline/run-generation.ts';
import type { Services } from '../services.ts';
import { eventStreamResponse } from './event-stream.ts';
import { readJsonBody } from './read-json-body.ts';

/** How one path reads its requests and writes its answers. */
export interface GenerationFormat {
  readonly idPrefix: string;
  parse(body: unknown, requestId: string): ParsedRequest;
  encodeWhole(events: AsyncIterable<GenerationEvent>, request: GenerationRequest, head: AnswerHead): Promise<object>;
  encodeChunks(
    events: AsyncIterable<GenerationEvent>,
    request: GenerationRequest,
    head: AnswerHead,
    delivery: Delivery,
  ): AsyncGenerator<object>;
}

/** From the body to the answer, streamed or whole. The client that leaves takes the endpoint's work with it. */
export async function answerGeneration(
  c: Context<{ Variables: RequestVariables }>,
  services: Services,
  format: GenerationFormat,
): Promise<Response> {
  const requestId = c.get('requestId');
  const { request, delivery } = format.parse(await readJsonBody(c), requestId);
  const head = { id: services.ids.create(format.idPrefix), created: Math.floor(services.clock.now() / 1000), ids: services.ids };
  const gone = new AbortController();
  const events = await begin(runGeneration(services, request, AbortSignal.any([gone.signal, c.req.raw.signal])));
  if (!delivery.stream) return c.json(await format.encodeWhole(events, request, head));
  return eventStreamResponse(format.encodeChunks(events, request, head, delivery), { gone, requestId, log: services.log });
}
