/** `POST /v1/responses`, in. https://platform.openai.com/docs/api-reference/responses/create */
import * as v from 'valibot';
import { InvalidRequestError, NothingIsKeptError } from '../errors.ts';
import { jsonObject, jsonSchema } from './json-schema.ts';
import { parseBody } from './parse-body.ts';
import {
  boolean,
  generationFields,
  integerBetween,
  maxTokens,
  metadata,
  nullish,
  oneOf,
  refused,
  serviceTier,
  string,
} from './request-fields.ts';
import { wireItems } from './responses-items.ts';
import { readResponseFormat, readToolUse } from './tool-fields.ts';

const name = v.pipe(string, v.regex(/^[a-zA-Z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, underscores or dashes.'));

const functionTool = v.object(
  {
    type: v.literal('function', 'must be `function`: other kinds of tools are not served.'),
    name,
    description: nullish(string),
    parameters: nullish(jsonSchema),
    strict: nullish(boolean),
  },
  'must be a tool.',
);

const toolChoice = v.union(
  [
    v.picklist(['none', 'auto', 'required']),
    v.object({ type: v.literal('function'), name }),
    v.object({
      type: v.literal('allowed_tools'),
      mode: v.picklist(['auto', 'required']),
      tools: v.pipe(v.array(v.object({ type: v.literal('function'), name })), v.minLength(1)),
    }),
  ],
  'must be `none`, `auto`, `required`, {"type": "function", "name": …} or {"type": "allowed_tools", "mode": …, "tools": […]}.',
);

const format = v.variant(
  'type',
  [
    v.object({ type: v.literal('text') }),
    v.object({ type: v.literal('json_object') }),
    v.object({ type: v.literal('json_schema'), name, schema: jsonSchema, description: nullish(string), strict: nullish(boolean) }),
  ],
  'must be an object whose type is `text`, `json_object` or `json_schema`.',
);

const includable = v.picklist(
  [
    'file_search_call.results',
    'web_search_call.results',
    'web_search_call.action.sources',
    'message.input_image.image_url',
    'computer_call_output.output.image_url',
    'code_interpreter_call.outputs',
    'reasoning.encrypted_content',
    'message.output_text.logprobs',
  ],
  'must be something that a response can include.',
);

const { model, temperature, top_p, top_k, frequency_penalty, presence_penalty, user, safety_identifier, prompt_cache_key } =
  generationFields;

/** What decides which tokens the model reads: also all that `POST /v1/responses/input_tokens` takes. */
const promptFields = {
  model,
  input: nullish(oneOf([string, wireItems], (value) => (typeof value === 'string' ? string : wireItems))),
  instructions: nullish(string),
  previous_response_id: nullish(string),
  conversation: nullish(v.union([string, v.object({ id: string })], 'must be the id of a conversation, or an object with its `id`.')),
  tools: nullish(v.pipe(v.array(functionTool, 'must be an array of tools.'), v.maxLength(128, 'takes at most 128 tools.'))),
  tool_choice: nullish(toolChoice),
  parallel_tool_calls: nullish(boolean),
  text: nullish(
    v.object({ format: nullish(format), verbosity: nullish(v.picklist(['low', 'medium', 'high'])) }, 'must be an object with a `format`.'),
  ),
  truncation: nullish(v.picklist(['auto', 'disabled'], 'must be `auto` or `disabled`.')),
  reasoning: nullish(
    v.object(
      {
        effort: nullish(v.picklist(['none', 'minimal', 'low', 'medium', 'high', 'xhigh'])),
        summary: nullish(v.picklist(['auto', 'concise', 'detailed'])),
        generate_summary: nullish(v.picklist(['auto', 'concise', 'detailed'])),
      },
      'must be an object.',
    ),
  ),
};

export const responseSchema = v.strictObject({
  ...promptFields,
  temperature,
  top_p,
  top_k,
  /** Of the Open Responses specification. */
  frequency_penalty,
  presence_penalty,
  user,
  safety_identifier,
  prompt_cache_key,
  background: nullish(boolean),
  include: nullish(v.array(includable, 'must be an array.')),
  max_output_tokens: nullish(maxTokens),
  max_tool_calls: nullish(integerBetween(0, 2 ** 31 - 1)),
  metadata: nullish(metadata),
  service_tier: nullish(serviceTier),
  store: nullish(boolean),
  stream: nullish(boolean),
  stream_options: nullish(v.object({ include_obfuscation: nullish(boolean) }, 'must be an object.')),
  top_logprobs: nullish(integerBetween(0, 20)),
  /** A hint for caches: prefixes are found by their tokens here. */
  prompt_cache_retention: nullish(v.picklist(['in_memory', 'in-memory', '24h'])),
  prompt_cache_options: nullish(jsonObject),
  context_management: refused("context management is not served: use 'truncation'."),
  moderation: refused('is not served.'),
  prompt: refused("stored prompts are not served: send 'instructions' and 'input'."),
});

export const inputTokensSchema = v.strictObject({ ...promptFields, personality: nullish(string) });

export type ResponseBody = v.InferOutput<typeof responseSchema>;
export type PromptBody = Pick<ResponseBody, keyof typeof promptFields>;

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseResponseBody(body: unknown): ResponseBody {
  const parsed = parseBody(responseSchema, body);
  if (parsed.background === true && parsed.store === false) {
    throw new InvalidRequestError("'background' needs 'store' to be true: an answer that nobody waits for must be kept.", {
      param: 'store',
    });
  }
  if (typeof parsed.top_logprobs === 'number' && parsed.top_logprobs > 0 && !includesLogprobs(parsed)) {
    throw new InvalidRequestError("'top_logprobs' needs 'include' to have `message.output_text.logprobs`.", { param: 'top_logprobs' });
  }
  checkPrompt(parsed);
  return parsed;
}

/**
 * Where no text is kept: `store` is false whatever it says, as OpenAI has it for organisations without data retention.
 * @throws {NothingIsKeptError} for what cannot be without.
 */
export function withoutRetention(body: ResponseBody): ResponseBody {
  if (body.background === true) throw new NothingIsKeptError('background');
  if (isSet(body.conversation)) throw new NothingIsKeptError('conversation');
  return { ...body, store: false };
}

/** @throws {InvalidRequestError} naming the field at fault. */
export function parseInputTokensBody(body: unknown): PromptBody {
  const parsed = parseBody(inputTokensSchema, body);
  checkPrompt(parsed);
  return parsed;
}

function checkPrompt(body: PromptBody): void {
  if (isSet(body.previous_response_id) && isSet(body.conversation)) {
    throw new InvalidRequestError("'previous_response_id' and 'conversation' cannot be used together: both say what was said before.", {
      param: 'conversation',
    });
  }
  if (!isSet(body.input) && !isSet(body.previous_response_id) && !isSet(body.conversation)) {
    throw new InvalidRequestError("Missing required parameter: 'input'.", { param: 'input' });
  }
}

function isSet<Value>(value: Value | null | undefined): value is Value {
  return value !== undefined && value !== null;
}

export function includesLogprobs(body: ResponseBody): boolean {
  return body.include?.includes('message.output_text.logprobs') ?? false;
}

export function conversationIdOf(body: PromptBody): string | undefined {
  return typeof body.conversation === 'string' ? body.conversation : body.conversation?.id;
}

/** Tools and form of the answer are chat's with other names. @throws {InvalidRequestError} */
export function readOutputOptions(body: PromptBody) {
  const offered = readOfferedTools(body);
  const toolUse = readToolUse({
    tools: offered.tools.map(({ type, ...tool }) => ({ type, function: tool })),
    tool_choice: offered.choice,
    parallel_tool_calls: body.parallel_tool_calls,
  });
  const grammar = readResponseFormat({ response_format: readFormat(body) });
  return { ...(toolUse === undefined ? {} : { toolUse }), ...(grammar === undefined ? {} : { grammar }) };
}

function readOfferedTools({ tools, tool_choice: choice }: PromptBody) {
  const all = tools ?? [];
  if (choice === undefined || choice === null || typeof choice === 'string') return { tools: all, choice };
  if (choice.type === 'function') return { tools: all, choice: { type: choice.type, function: { name: choice.name } } };
  const allowed = new Set(choice.tools.map((tool) => tool.name));
  return { tools: all.filter((tool) => allowed.has(tool.name)), choice: choice.mode };
}

function readFormat({ text }: PromptBody) {
  const form = text?.format;
  if (form?.type !== 'json_schema') return form;
  const { type, ...schema } = form;
  return { type, json_schema: schema };
}
