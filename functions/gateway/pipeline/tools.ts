/** Tools that a caller offers, and how the model may use them. */
import type { ChatTool } from '../../../layers/tokenizer/index.ts';
import { InvalidRequestError } from '../errors.ts';
import type { Grammar } from '../services.ts';
import { createCallArrayParser } from './output-parsers/call-array.ts';
import { createHermesParser } from './output-parsers/hermes.ts';
import { createLlama3JsonParser } from './output-parsers/llama3-json.ts';
import { createMistralParser } from './output-parsers/mistral.ts';
import { createNamedCallParser } from './output-parsers/named-call.ts';
import type { OutputParser } from './output-parsers/output-part.ts';
import { createPlainTextParser } from './output-parsers/plain-text.ts';

export interface Tool {
  readonly name: string;
  readonly description?: string;
  /** JSON Schema of the arguments; `undefined` means any object. */
  readonly parameters?: Readonly<Record<string, unknown>>;
}

export type ToolChoice =
  | { readonly type: 'none' | 'auto' | 'required' }
  /** This tool, called exactly once. */
  | { readonly type: 'named'; readonly name: string };

export interface ToolUse {
  readonly tools: readonly Tool[];
  /** The tools as the caller wrote them, numbers to the letter: what a template that knows tools shows to the model. */
  readonly asWritten?: readonly ChatTool[];
  readonly choice: ToolChoice;
  /** Whether one answer may call more than once. */
  readonly parallel: boolean;
}

/** How a model family writes its calls. The catalog says which. */
export type CallFormat = 'hermes' | 'llama3-json' | 'mistral';

/** What a choice of tools means for one answer: what its text is constrained to, and how it is read. */
export interface ToolPlan {
  readonly grammar: Grammar | undefined;
  createParser(): OutputParser;
}

const CALL_FORMATS: Readonly<Record<CallFormat, (isTool: (name: string) => boolean) => OutputParser>> = {
  hermes: createHermesParser,
  'llama3-json': createLlama3JsonParser,
  mistral: createMistralParser,
};

/**
 * With `required` and a named tool the engine masks every token that would leave the form, so the call is valid by construction, whatever
 * the model's size; with `auto` the model writes calls in its family's own markup, or none.
 * @throws {InvalidRequestError} `auto` with a model whose family's markup is unknown.
 */
export function planTools(use: ToolUse, format: CallFormat | undefined): ToolPlan {
  const { choice, tools } = use;
  const isTool = (name: string) => tools.some((tool) => tool.name === name);
  switch (choice.type) {
    case 'none':
      return { grammar: undefined, createParser: createPlainTextParser };
    case 'auto':
      if (format === undefined) {
        throw new InvalidRequestError(
          "This model does not decide about tools by itself: set 'tool_choice' to `required`, to one tool, or to `none`.",
          {
            param: 'tool_choice',
          },
        );
      }
      return { grammar: undefined, createParser: () => CALL_FORMATS[format](isTool) };
    case 'named': {
      const schema = parametersOf(tools.find((tool) => tool.name === choice.name));
      return { grammar: { type: 'json-schema', schema }, createParser: () => createNamedCallParser(choice.name) };
    }
    case 'required': {
      const schema = { type: 'array', minItems: 1, ...(use.parallel ? {} : { maxItems: 1 }), items: { anyOf: tools.map(callSchema) } };
      return { grammar: { type: 'json-schema', schema }, createParser: () => createCallArrayParser(isTool) };
    }
  }
}

function callSchema(tool: Tool): Readonly<Record<string, unknown>> {
  return {
    type: 'object',
    properties: { name: { const: tool.name }, arguments: parametersOf(tool) },
    required: ['name', 'arguments'],
    additionalProperties: false,
  };
}

function parametersOf(tool: Tool | undefined): Readonly<Record<string, unknown>> {
  return tool?.parameters ?? { type: 'object' };
}
