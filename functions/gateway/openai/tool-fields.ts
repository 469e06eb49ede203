/** `tools`, `tool_choice` and `response_format`, as chat completions have them. https://platform.openai.com/docs/guides/function-calling */
import * as v from 'valibot';
import { type ChatTool, parseExactJson } from '../../../layers/tokenizer/index.ts';
import { InvalidRequestError } from '../errors.ts';
import type { Tool, ToolChoice, ToolUse } from '../pipeline/tools.ts';
import type { Grammar } from '../services.ts';
import { jsonSchema } from './json-schema.ts';
import { boolean, nullish, string } from './request-fields.ts';

const name = v.pipe(string, v.regex(/^[a-zA-Z0-9_-]{1,64}$/, 'must be 1 to 64 letters, digits, underscores or dashes.'));
const functionTool = v.strictObject(
  {
    type: v.literal('function', 'must be `function`: other kinds of tools are not served.'),
    function: v.strictObject(
      { name, description: nullish(string), parameters: nullish(jsonSchema), strict: nullish(boolean) },
      'must be an object.',
    ),
  },
  'must be a tool.',
);

const namedFunction = v.strictObject({ type: v.literal('function'), function: v.strictObject({ name }) });

export const toolFields = {
  tools: nullish(v.pipe(v.array(functionTool, 'must be an array of tools.'), v.maxLength(128, 'takes at most 128 tools.'))),
  tool_choice: nullish(
    v.union(
      [
        v.picklist(['none', 'auto', 'required']),
        namedFunction,
        v.strictObject({
          type: v.literal('allowed_tools'),
          allowed_tools: v.strictObject({
            mode: v.picklist(['auto', 'required']),
            tools: v.pipe(v.array(namedFunction), v.minLength(1)),
          }),
        }),
      ],
      'must be `none`, `auto`, `required`, {"type": "function", "function": {"name": …}}, or {"type": "allowed_tools", "allowed_tools": {"mode": …, "tools": […]}}.',
    ),
  ),
  parallel_tool_calls: nullish(boolean),
  response_format: nullish(
    v.variant(
      'type',
      [
        v.strictObject({ type: v.literal('text') }),
        v.strictObject({ type: v.literal('json_object') }),
        v.strictObject({
          type: v.literal('json_schema'),
          json_schema: v.strictObject(
            { name, description: nullish(string), schema: nullish(jsonSchema), strict: nullish(boolean) },
            'must be an object.',
          ),
        }),
      ],
      'must be an object whose type is `text`, `json_object` or `json_schema`.',
    ),
  ),
};

type ToolFields = v.InferOutput<v.StrictObjectSchema<typeof toolFields, undefined>>;

/** @throws {InvalidRequestError} a choice without tools, or of a tool that was not offered. */
export function readToolUse(body: ToolFields): ToolUse | undefined {
  const offered = readTools(body);
  const { choice, allowed } = readToolChoice(body);
  const missing = allowed?.find((one) => !offered.some((tool) => tool.name === one));
  if (missing !== undefined) {
    throw new InvalidRequestError(`'tool_choice' allows \`${missing}\`, which is not among 'tools'.`, { param: 'tool_choice' });
  }
  const tools = allowed === undefined ? offered : offered.filter((tool) => allowed.includes(tool.name));
  if (tools.length === 0) {
    if (choice.type === 'required' || choice.type === 'named') {
      throw new InvalidRequestError("'tool_choice' is only allowed when 'tools' are specified.", { param: 'tool_choice' });
    }
    return undefined;
  }
  if (choice.type === 'named' && !tools.some((tool) => tool.name === choice.name)) {
    throw new InvalidRequestError(`'tool_choice' names \`${choice.name}\`, which is not among 'tools'.`, { param: 'tool_choice' });
  }
  return { tools, choice, parallel: body.parallel_tool_calls ?? true };
}

function readTools(body: Pick<ToolFields, 'tools'>): readonly Tool[] {
  return (body.tools ?? []).map(({ function: { name, description, parameters } }) => ({
    name,
    ...(typeof description === 'string' ? { description } : {}),
    ...(parameters === undefined || parameters === null ? {} : { parameters }),
  }));
}

/** `tools` of a body that has been checked, with every number as it was typed: `1.0` and `1` are different prompts. */
export function readToolsAsWritten(bodyText: string): readonly ChatTool[] {
  const { tools } = parseExactJson(bodyText) as { readonly tools?: readonly ChatTool[] | null }; // checked by the schema
  return tools ?? [];
}

/** With the names of the tools that may be called, when the caller narrows them down. */
function readToolChoice({ tool_choice: choice }: ToolFields): { readonly choice: ToolChoice; readonly allowed?: readonly string[] } {
  if (choice === undefined || choice === null) return { choice: { type: 'auto' } };
  if (typeof choice === 'string') return { choice: { type: choice } };
  if (choice.type === 'function') return { choice: { type: 'named', name: choice.function.name } };
  const { mode, tools } = choice.allowed_tools;
  return { choice: { type: mode }, allowed: tools.map((tool) => tool.function.name) };
}

/** What the answer is constrained to; `undefined` is free text. */
export function readResponseFormat({ response_format: format }: ToolFields): Grammar | undefined {
  switch (format?.type) {
    case 'json_object':
      return { type: 'json-object' };
    case 'json_schema':
      return { type: 'json-schema', schema: format.json_schema.schema ?? { type: 'object' } };
    default:
      return undefined;
  }
}
