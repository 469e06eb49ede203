/** Runs a response from its first event to its last, and keeps it when it is to be kept. */
import { GenerationCancelledError } from '../errors.ts';
import type { GenerationEvent } from '../pipeline/generation-request.ts';
import type { Clock, Log } from '../services.ts';
import type { ResponseEncoder, ResponseEvent } from './responses-events.ts';
import type { ResponsePrompt, Stores } from './responses-prompt.ts';
import { conversationIdOf, type ResponseBody } from './responses-request.ts';
import { outputItems, type StoredResponse } from './responses-store.ts';

export interface ResponseRun {
  readonly body: ResponseBody;
  readonly prompt: Pick<ResponsePrompt, 'input' | 'ancestors'>;
  readonly encoder: ResponseEncoder;
  readonly stores: Stores;
  readonly clock: Clock;
  readonly log: Log;
  readonly requestId: string;
  /** Where the events of a response are kept that is made in the background. */
  readonly generationId?: string;
}

/**
 * The response's events, its last one after it was kept: who has read it may continue from it. A generation that fails ends with
 * `response.failed`.
 */
export async function* streamResponse(run: ResponseRun, events: AsyncIterable<GenerationEvent>): AsyncGenerator<ResponseEvent> {
  const { encoder, requestId, log } = run;
  yield* encoder.begin();
  let last: ResponseEvent[];
  try {
    for await (const event of events) yield* encoder.push(event);
    last = [...encoder.finish(seconds(run.clock))];
    await keep(run);
  } catch (error) {
    const isCancelled = error instanceof GenerationCancelledError;
    if (!isCancelled) log.write('error', 'stream-failed', { requestId, error: error instanceof Error ? error.name : 'unknown' });
    last = [...(isCancelled ? encoder.cancel() : encoder.fail(error, requestId))];
    await keep(run).catch(() => undefined); // it failed already, and the reader hears of that
  }
  yield* last;
}

/** The whole response, once it is kept. @throws {GatewayError} the generation fails. */
export async function answerResponse(run: ResponseRun, events: AsyncIterable<GenerationEvent>): Promise<ResponseEncoder['response']> {
  const { encoder } = run;
  drain(encoder.begin());
  for await (const event of events) drain(encoder.push(event));
  drain(encoder.finish(seconds(run.clock)));
  await keep(run);
  return encoder.response;
}

async function keep({ body, prompt, encoder, stores, generationId }: ResponseRun): Promise<void> {
  const { response } = encoder;
  const conversationId = conversationIdOf(body);
  const isUsable = response.status === 'completed' || response.status === 'incomplete';
  if (conversationId !== undefined && isUsable) {
    await stores.conversations.addItems(conversationId, [...prompt.input, ...outputItems(response)], 'input');
  }
  if (body.store === false) return;
  // Somebody may have deleted it while it was made.
  if (generationId !== undefined && (await stores.responses.find(response.id)) === undefined) return;
  await stores.responses.save(describeRun({ prompt, generationId }, response));
}

/** What is kept of a response. */
export function describeRun(
  { prompt, generationId }: { readonly prompt: ResponseRun['prompt']; readonly generationId: string | undefined },
  response: ResponseEncoder['response'],
): StoredResponse {
  return { response, input: prompt.input, ancestors: prompt.ancestors, ...(generationId === undefined ? {} : { generationId }) };
}

function seconds(clock: Clock): number {
  return Math.floor(clock.now() / 1000);
}

/** Nobody reads the events of an answer that comes whole; making them makes the response. */
function drain(events: Generator<ResponseEvent>): void {
  for (const _ of events);
}
