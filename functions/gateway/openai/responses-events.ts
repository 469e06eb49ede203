/** `POST /v1/responses`, out: a generation's events as the API's. https://platform.openai.com/docs/api-reference/responses-streaming */
import type {
  ResponseFunctionToolCallItem,
  ResponseOutputItem,
  ResponseOutputMessage,
  ResponseOutputText,
  ResponseReasoningItem,
  ResponseStreamEvent,
} from 'openai/resources/responses/responses';
import { GatewayError } from '../errors.ts';
import type { FinishReason, GenerationEvent, TokenDetail } from '../pipeline/generation-request.ts';
import type { OutputPart } from '../pipeline/output-parsers/output-part.ts';
import { UNKNOWN_LOGPROB } from './answer.ts';
import { encodeError } from './error-body.ts';
import { obfuscate } from './obfuscation.ts';
import { encodeResponseUsage, failResponse, type WireResponse } from './responses-object.ts';

type Numbered = { readonly sequence_number: number };
/** An event before it has its number. */
type Unnumbered<Event> = Event extends Numbered ? Omit<Event, 'sequence_number'> : never;
/** What goes over the wire: the SDK's type with the response as we send it. */
export type ResponseEvent = { readonly type: string } & Numbered;

type OpenItem =
  | { readonly kind: 'content' | 'reasoning'; readonly index: number; readonly id: string; text: string; tokens: TokenDetail[] }
  | { readonly kind: 'call'; readonly index: number; readonly id: string; readonly callId: string; readonly name: string; text: string };

/** How each end of a generation shows in a response. */
const ENDINGS = {
  stop: { status: 'completed', event: 'response.completed', details: null },
  'tool-calls': { status: 'completed', event: 'response.completed', details: null },
  length: { status: 'incomplete', event: 'response.incomplete', details: { reason: 'max_output_tokens' } },
  'content-filter': { status: 'incomplete', event: 'response.incomplete', details: { reason: 'content_filter' } },
} as const satisfies Record<FinishReason, object>;

/**
 * Writes one response: a list of items, each opened, filled and closed, with events that are numbered from 0 without a gap. Items come one
 * after the other, so at most one is open. The whole answer is the response in the last event.
 */
export class ResponseEncoder {
  readonly #options: { readonly obfuscate: boolean; readonly logprobs: boolean; readonly itemId: (kind: string, index: number) => string };
  readonly #output: ResponseOutputItem[] = [];
  #response: WireResponse;
  #open: OpenItem | undefined;
  #next = 0;

  constructor(response: WireResponse, options: { obfuscate: boolean; logprobs: boolean; itemId(kind: string, index: number): string }) {
    this.#response = response;
    this.#options = options;
  }

  /** The response as far as it has come. */
  get response(): WireResponse {
    return { ...this.#response, output: [...this.#output] };
  }

  *begin(): Generator<ResponseEvent> {
    yield this.#number({ type: 'response.created', response: this.response });
    if (this.#response.status === 'queued') {
      yield this.#number({ type: 'response.queued', response: this.response });
      this.#response = { ...this.#response, status: 'in_progress' };
    }
    yield this.#number({ type: 'response.in_progress', response: this.response });
  }

  /** What one event of the generation adds; its end closes the last item. */
  *push(event: GenerationEvent): Generator<ResponseEvent> {
    if (event.type === 'delta') {
      for (const [position, part] of event.parts.entries()) yield* this.#pushPart(part, position === 0 ? event.tokens : []);
      if (event.parts.length === 0 && this.#open?.kind === 'content') this.#open.tokens.push(...event.tokens);
      return;
    }
    const { status, details } = ENDINGS[event.finishReason];
    // An answer without a word is an empty message, not nothing.
    if (this.#open === undefined && this.#output.length === 0) yield* this.#openItem('content');
    yield* this.#close(status);
    this.#response = { ...this.#response, status, incomplete_details: details, usage: encodeResponseUsage(event.usage) };
  }

  /** The last event. @param completedAt seconds since the epoch. */
  *finish(completedAt: number): Generator<ResponseEvent> {
    const complete = this.#response.status === 'completed';
    this.#response = { ...this.#response, completed_at: complete ? completedAt : null };
    yield this.#number({ type: complete ? 'response.completed' : 'response.incomplete', response: this.response });
  }

  /** The last event of a generation that failed: what was said until then stays. */
  *fail(error: unknown, requestId: string): Generator<ResponseEvent> {
    yield* this.#close('incomplete');
    const isLoad = error instanceof GatewayError && error.status === 429;
    this.#response = failResponse(this.#response, this.#output, encodeError(error, requestId).error.message, isLoad);
    yield this.#number({ type: 'response.failed', response: this.response });
  }

  /** The last event of a response that somebody cancelled: what was said until then stays. */
  *cancel(): Generator<ResponseEvent> {
    yield* this.#close('incomplete');
    this.#response = { ...this.#response, status: 'cancelled' };
    yield this.#number({ type: 'response.incomplete', response: this.response });
  }

  *#pushPart(part: OutputPart, tokens: readonly TokenDetail[]): Generator<ResponseEvent> {
    switch (part.type) {
      case 'content':
      case 'reasoning': {
        if (this.#open?.kind !== part.type) {
          yield* this.#close('completed');
          yield* this.#openItem(part.type);
        }
        yield* this.#appendText(part.text, tokens);
        break;
      }
      case 'tool-call':
        yield* this.#close('completed');
        yield* this.#openCall(part.name);
        break;
      case 'tool-arguments':
        yield* this.#appendText(part.text, []);
        break;
    }
  }

  *#openItem(kind: 'content' | 'reasoning'): Generator<ResponseEvent> {
    const index = this.#output.length;
    const open: OpenItem = { kind, index, id: this.#options.itemId(kind === 'content' ? 'msg' : 'rs', index), text: '', tokens: [] };
    this.#open = open;
    const item = kind === 'content' ? this.#message(open, 'in_progress', false) : { ...this.#reasoning(open, 'in_progress'), content: [] };
    yield this.#number({ type: 'response.output_item.added', output_index: index, item });
    yield this.#number({ type: 'response.content_part.added', ...this.#place(open), part: this.#part(open) });
  }

  *#openCall(name: string): Generator<ResponseEvent> {
    const index = this.#output.length;
    const { itemId } = this.#options;
    const open: OpenItem = { kind: 'call', index, id: itemId('fc', index), callId: itemId('call', index), name, text: '' };
    this.#open = open;
    yield this.#number({ type: 'response.output_item.added', output_index: index, item: encodeCall(open, 'in_progress') });
  }

  *#appendText(delta: string, tokens: readonly TokenDetail[]): Generator<ResponseEvent> {
    const open = this.#open;
    if (open === undefined) return;
    open.text += delta;
    const hidden = this.#options.obfuscate ? { obfuscation: obfuscate(delta) } : {};
    switch (open.kind) {
      case 'content': {
        open.tokens.push(...tokens);
        const logprobs = this.#options.logprobs ? tokens.map(encodeEventLogprob) : [];
        yield this.#number({ type: 'response.output_text.delta', ...this.#place(open), delta, logprobs, ...hidden });
        break;
      }
      case 'reasoning':
        yield this.#number({ type: 'response.reasoning_text.delta', ...this.#place(open), delta, ...hidden });
        break;
      case 'call':
        yield this.#number({
          type: 'response.function_call_arguments.delta',
          item_id: open.id,
          output_index: open.index,
          delta,
          ...hidden,
        });
        break;
    }
  }

  *#close(status: 'completed' | 'incomplete'): Generator<ResponseEvent> {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    let item: ResponseOutputItem;
    switch (open.kind) {
      case 'content': {
        const logprobs = this.#options.logprobs ? open.tokens.map(encodeEventLogprob) : [];
        yield this.#number({ type: 'response.output_text.done', ...this.#place(open), text: open.text, logprobs });
        yield this.#number({ type: 'response.content_part.done', ...this.#place(open), part: this.#part(open) });
        item = this.#message(open, status, true);
        break;
      }
      case 'reasoning':
        yield this.#number({ type: 'response.reasoning_text.done', ...this.#place(open), text: open.text });
        yield this.#number({ type: 'response.content_part.done', ...this.#place(open), part: this.#part(open) });
        item = this.#reasoning(open, status);
        break;
      case 'call': {
        const { id, index, name } = open;
        yield this.#number({ type: 'response.function_call_arguments.done', item_id: id, output_index: index, name, arguments: open.text });
        item = encodeCall(open, status);
        break;
      }
    }
    this.#output.push(item);
    yield this.#number({ type: 'response.output_item.done', output_index: open.index, item });
  }

  #place({ id, index }: OpenItem) {
    return { item_id: id, output_index: index, content_index: 0 };
  }

  #part(open: Extract<OpenItem, { tokens: TokenDetail[] }>): ResponseOutputText | { type: 'reasoning_text'; text: string } {
    if (open.kind === 'reasoning') return { type: 'reasoning_text', text: open.text };
    const logprobs = this.#options.logprobs ? open.tokens.map(encodeLogprob) : [];
    return { type: 'output_text', text: open.text, annotations: [], logprobs };
  }

  #message(
    open: Extract<OpenItem, { tokens: TokenDetail[] }>,
    status: ResponseOutputMessage['status'],
    filled: boolean,
  ): ResponseOutputMessage {
    const part = this.#part(open);
    const content = filled && part.type === 'output_text' ? [part] : [];
    return { id: open.id, type: 'message', role: 'assistant', status, content };
  }

  #reasoning(
    open: Extract<OpenItem, { tokens: TokenDetail[] }>,
    status: 'in_progress' | 'completed' | 'incomplete',
  ): ResponseReasoningItem {
    return { id: open.id, type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: open.text }], status };
  }

  #number(event: Unnumbered<ResponseStreamEvent> | LifecycleEvent): ResponseEvent {
    return { ...event, sequence_number: this.#next++ };
  }
}

/** Events whose response lacks what an SDK adds on its side. */
interface LifecycleEvent {
  readonly type:
    | 'response.created'
    | 'response.queued'
    | 'response.in_progress'
    | 'response.completed'
    | 'response.incomplete'
    | 'response.failed';
  readonly response: WireResponse;
}

function encodeCall(
  { id, callId, name, text }: Extract<OpenItem, { kind: 'call' }>,
  status: ResponseFunctionToolCallItem['status'],
): ResponseFunctionToolCallItem {
  return { id, type: 'function_call', status, call_id: callId, name, arguments: text };
}

function encodeEventLogprob({ token, logprob, top }: TokenDetail) {
  return {
    token,
    logprob: logprob ?? UNKNOWN_LOGPROB,
    top_logprobs: top.map((alternative) => ({ token: alternative.token, logprob: alternative.logprob })),
  };
}

function encodeLogprob({ token, logprob, bytes, top }: TokenDetail): NonNullable<ResponseOutputText['logprobs']>[number] {
  const top_logprobs = top.map((alternative) => ({
    token: alternative.token,
    logprob: alternative.logprob,
    bytes: [...alternative.bytes],
  }));
  return { token, logprob: logprob ?? UNKNOWN_LOGPROB, bytes: [...bytes], top_logprobs };
}
