/** The response object. https://platform.openai.com/docs/api-reference/responses/object */
import type { Response, ResponseOutputItem, ResponseUsage, Tool } from 'openai/resources/responses/responses';
import type { Usage } from '../pipeline/generation-request.ts';
import { conversationIdOf, type ResponseBody } from './responses-request.ts';

/** What an SDK adds on its side is not on the wire. */
export type WireResponse = Omit<Response, 'output_text' | 'safety_identifier' | 'prompt_cache_key' | 'usage'> & {
  /** Null until the response has ended. */
  readonly usage: ResponseUsage | null;
  readonly max_tool_calls: number | null;
  readonly store: boolean;
  // OpenAI sends these too, and the Open Responses specification requires them; the SDK's type knows neither the first two nor the nulls.
  readonly frequency_penalty: number;
  readonly presence_penalty: number;
  readonly safety_identifier: string | null;
  readonly prompt_cache_key: string | null;
};

/** A response that has said nothing yet. */
export function createResponseObject(
  body: ResponseBody,
  head: { readonly id: string; readonly created: number; readonly status: 'queued' | 'in_progress' },
): WireResponse {
  const conversation = conversationIdOf(body);
  return {
    id: head.id,
    object: 'response',
    created_at: head.created,
    status: head.status,
    completed_at: null,
    background: body.background ?? false,
    conversation: conversation === undefined ? null : { id: conversation },
    error: null,
    frequency_penalty: body.frequency_penalty ?? 0,
    incomplete_details: null,
    instructions: body.instructions ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: body.max_tool_calls ?? null,
    metadata: body.metadata ?? {},
    model: body.model,
    output: [],
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    presence_penalty: body.presence_penalty ?? 0,
    previous_response_id: body.previous_response_id ?? null,
    reasoning: { effort: body.reasoning?.effort ?? null, summary: body.reasoning?.summary ?? null },
    service_tier: body.service_tier === 'flex' ? 'flex' : 'default',
    store: body.store ?? true,
    temperature: body.temperature ?? 1,
    text: { format: encodeFormat(body), ...(body.text?.verbosity ? { verbosity: body.text.verbosity } : {}) },
    tool_choice: body.tool_choice ?? 'auto',
    tools: (body.tools ?? []).map(encodeTool),
    top_logprobs: body.top_logprobs ?? 0,
    top_p: body.top_p ?? 1,
    truncation: body.truncation ?? 'disabled',
    usage: null,
    ...(typeof body.user === 'string' ? { user: body.user } : {}),
    safety_identifier: body.safety_identifier ?? null,
    prompt_cache_key: body.prompt_cache_key ?? null,
  };
}

type Format = NonNullable<NonNullable<Response['text']>['format']>;

function encodeFormat({ text }: ResponseBody): Format {
  const format = text?.format;
  if (format?.type !== 'json_schema') return format ?? { type: 'text' };
  const { description, strict, ...rest } = format;
  return { ...rest, strict: strict ?? false, ...(typeof description === 'string' ? { description } : {}) };
}

function encodeTool({ type, name, description, parameters, strict }: NonNullable<ResponseBody['tools']>[number]): Tool {
  return { type, name, description: description ?? null, parameters: parameters ?? null, strict: strict ?? true };
}

export function encodeResponseUsage(usage: Usage): ResponseUsage {
  return {
    input_tokens: usage.promptTokens,
    input_tokens_details: { cached_tokens: usage.cachedPromptTokens, cache_write_tokens: 0 },
    output_tokens: usage.completionTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.promptTokens + usage.completionTokens,
  };
}

/** Why a response failed, in one of the codes that the API has for it. */
export function failResponse(response: WireResponse, output: ResponseOutputItem[], message: string, isLoad: boolean): WireResponse {
  return { ...response, status: 'failed', output, error: { code: isLoad ? 'rate_limit_exceeded' : 'server_error', message } };
}
