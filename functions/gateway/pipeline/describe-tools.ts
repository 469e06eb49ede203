/**
 * Tells a model of the caller's tools. A template that knows tools does it by itself; for one that does not, they are described in the
 * system message in the form that Hermes and Qwen are trained on, and earlier calls and their results are written out in that form too.
 * https://github.com/NousResearch/Hermes-Function-Calling
 */
import type { ChatMessage, ChatTool } from '../../../layers/tokenizer/index.ts';
import type { Tool } from './tools.ts';

export function toChatTool({ name, description, parameters }: Tool): ChatTool {
  return {
    type: 'function',
    function: { name, ...(description === undefined ? {} : { description }), parameters: parameters ?? { type: 'object', properties: {} } },
  };
}

/** Messages for a template that knows no tools: none of it is lost, all of it is text. */
export function describeTools(messages: readonly ChatMessage[], tools: readonly ChatTool[]): readonly ChatMessage[] {
  const written = messages.map(writeOut);
  if (tools.length === 0) return written;
  const [first, ...rest] = written;
  const description = writeTools(tools);
  if (first?.role === 'system') return [{ ...first, content: `${first.content}\n\n${description}` }, ...rest];
  return [{ role: 'system', content: description }, ...written];
}

function writeTools(tools: readonly ChatTool[]): string {
  return [
    '# Tools\n',
    'You may call one or more functions to assist with the user query.\n',
    'You are provided with function signatures within <tools></tools> XML tags:',
    '<tools>',
    ...tools.map((tool) => JSON.stringify(tool)),
    '</tools>\n',
    'For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:',
    '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>',
  ].join('\n');
}

function writeOut(message: ChatMessage): ChatMessage {
  if (message.role === 'tool') return { role: 'user', content: `<tool_response>\n${message.content}\n</tool_response>` };
  if (message.tool_calls === undefined) return message;
  const { tool_calls: calls, ...said } = message;
  return { ...said, content: [...(message.content ? [message.content] : []), ...calls.map(writeCall)].join('\n') };
}

function writeCall(call: unknown): string {
  const { function: called } = call as { function: { name: string; arguments: unknown } }; // checked where the request was parsed
  const args = typeof called.arguments === 'string' ? called.arguments : JSON.stringify(called.arguments);
  return `<tool_call>\n{"name": ${JSON.stringify(called.name)}, "arguments": ${args}}\n</tool_call>`;
}
