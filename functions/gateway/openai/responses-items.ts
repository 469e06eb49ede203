/**
 * Items: what a response reads and what it writes, and what conversations keep. https://platform.openai.com/docs/api-reference/responses
 * The wire takes several short forms; inside there is one for each kind, the one that the API lists and that is stored.
 */
import type {
  ResponseFunctionToolCallItem,
  ResponseFunctionToolCallOutputItem,
  ResponseInputMessageItem,
  ResponseOutputMessage,
  ResponseReasoningItem,
} from 'openai/resources/responses/responses';
import * as v from 'valibot';
import type { ChatMessage } from '../../../layers/tokenizer/index.ts';
import type { Ids } from '../services.ts';
import { nullish, oneOf, string } from './request-fields.ts';

export type Item =
  | ResponseInputMessageItem
  | ResponseOutputMessage
  | ResponseFunctionToolCallItem
  | ResponseFunctionToolCallOutputItem
  | ResponseReasoningItem;

/** Names an item that is stored already. */
export interface ItemReference {
  readonly type: 'item_reference';
  readonly id: string;
}

const id = nullish(v.pipe(string, v.nonEmpty('must not be empty.'), v.maxLength(256, 'has at most 256 characters.')));
const status = nullish(v.picklist(['in_progress', 'completed', 'incomplete'], 'must be in_progress, completed or incomplete.'));

const inputText = v.object({ type: v.literal('input_text'), text: string });
const outputText = v.object({ type: v.literal('output_text'), text: string });
const refusal = v.object({ type: v.literal('refusal'), refusal: string });

/** A part of another kind is refused by its name, so that nobody wonders where an image went. */
const parts = <const Parts extends v.VariantOptions<'type'>>(known: Parts) => {
  const list = v.array(
    v.variant('type', known, (issue) =>
      typeof issue.input === 'string' && issue.expected.startsWith('(')
        ? `content parts of type \`${issue.input.slice(0, 64)}\` are not served here: this model reads text only.`
        : 'must be a content part.',
    ),
    'must be a string or an array of content parts.',
  );
  return oneOf([string, list], (value) => (typeof value === 'string' ? string : list));
};

/** Models and clients hand back what they were given, with fields that say nothing to a model: those are dropped. */
const message = v.variant('role', [
  v.object({
    type: nullish(v.literal('message')),
    role: v.picklist(['user', 'system', 'developer']),
    content: parts([inputText]),
    id,
    status,
  }),
  v.object({
    type: nullish(v.literal('message')),
    role: v.literal('assistant'),
    content: parts([outputText, refusal, inputText]),
    id,
    status,
  }),
]);

const callId = v.pipe(string, v.minLength(1, 'must not be empty.'), v.maxLength(64, 'has at most 64 characters.'));
const others = [
  v.object({ type: v.literal('function_call'), call_id: callId, name: string, arguments: string, id, status }),
  v.object({ type: v.literal('function_call_output'), call_id: callId, output: parts([inputText]), id, status }),
  v.object({
    type: v.literal('reasoning'),
    id,
    summary: v.array(v.object({ type: v.literal('summary_text'), text: string })),
    content: nullish(v.array(v.object({ type: v.literal('reasoning_text'), text: string }))),
    encrypted_content: nullish(string),
    status,
  }),
  v.object({ type: v.literal('item_reference'), id: v.pipe(string, v.nonEmpty('must not be empty.')) }),
] as const;

const typed = v.variant('type', [...others], (issue) =>
  typeof issue.input === 'string' && issue.type === 'variant'
    ? `items of type \`${issue.input.slice(0, 64)}\` are not served here.`
    : 'must be an item.',
);

const isMessage = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (!('type' in value) || value.type === 'message' || value.type === null);

/** One item as a caller writes it: a message may leave its type out. */
const wireItem = oneOf([message, typed], (value) => (isMessage(value) ? message : typed));
export const wireItems = v.array(wireItem, 'must be an array of items.');

export type WireItem = v.InferOutput<typeof message> | v.InferOutput<typeof typed>;

/** Gives the item its whole form and, where it has none, an id. */
export function readItem(wire: WireItem, ids: Ids): Item | ItemReference {
  if (!('role' in wire)) return readTypedItem(wire, ids);
  const head = { id: wire.id ?? ids.create('msg_'), type: 'message', status: wire.status ?? 'completed' } as const;
  if (wire.role !== 'assistant') {
    const content = typeof wire.content === 'string' ? [{ type: 'input_text' as const, text: wire.content }] : wire.content;
    return { ...head, role: wire.role, content };
  }
  const written = typeof wire.content === 'string' ? [{ type: 'output_text' as const, text: wire.content }] : wire.content;
  const content = written.map((part) =>
    part.type === 'refusal' ? part : { type: 'output_text' as const, text: part.text, annotations: [], logprobs: [] },
  );
  return { ...head, role: 'assistant', content };
}

function readTypedItem(wire: v.InferOutput<typeof typed>, ids: Ids): Item | ItemReference {
  switch (wire.type) {
    case 'item_reference':
      return wire;
    case 'function_call':
      return { ...wire, id: wire.id ?? ids.create('fc_'), status: wire.status ?? 'completed' };
    case 'function_call_output':
      return { ...wire, id: wire.id ?? ids.create('fco_'), status: wire.status ?? 'completed' };
    case 'reasoning': {
      const { content, encrypted_content: encrypted, status: state, ...rest } = wire;
      return {
        ...rest,
        id: wire.id ?? ids.create('rs_'),
        ...(content === undefined || content === null ? {} : { content }),
        ...(encrypted === undefined || encrypted === null ? {} : { encrypted_content: encrypted }),
        ...(state === undefined || state === null ? {} : { status: state }),
      };
    }
  }
}

/** `input` may be a text, which is one message of the user. */
export function readInput(input: string | readonly WireItem[], ids: Ids): readonly (Item | ItemReference)[] {
  return typeof input === 'string' ? [readItem({ role: 'user', content: input }, ids)] : input.map((item) => readItem(item, ids));
}

/** The messages that a chat template takes. Calls and thoughts belong to the turn of the assistant in which they were made. */
export function readMessages(items: readonly Item[]): readonly ChatMessage[] {
  const messages: ChatMessage[] = [];
  let thoughts = '';
  const openTurn = (): Record<string, unknown> => {
    const last = messages.at(-1);
    const turn =
      last?.role === 'assistant' && thoughts === ''
        ? last
        : { role: 'assistant', content: '', ...(thoughts === '' ? {} : { reasoning_content: thoughts }) };
    if (turn !== last) messages.push(turn);
    thoughts = '';
    return turn as Record<string, unknown>; // built here, so it may be completed here
  };
  for (const item of items) {
    switch (item.type) {
      case 'reasoning':
        thoughts += (item.content ?? []).map((part) => part.text).join('\n');
        break;
      case 'function_call': {
        const turn = openTurn();
        const call = { id: item.call_id, type: 'function', function: { name: item.name, arguments: item.arguments } };
        turn['tool_calls'] = [...((turn['tool_calls'] as readonly unknown[] | undefined) ?? []), call];
        break;
      }
      case 'function_call_output':
        messages.push({ role: 'tool', tool_call_id: item.call_id, content: readOutput(item.output) });
        break;
      case 'message':
        if (item.role === 'assistant') {
          messages.push({
            role: 'assistant',
            content: item.content.map((part) => (part.type === 'refusal' ? part.refusal : part.text)).join('\n'),
            ...(thoughts === '' ? {} : { reasoning_content: thoughts }),
          });
          thoughts = '';
        } else {
          // Open models know no developer role: it is OpenAI's newer name for system.
          const role = item.role === 'developer' ? 'system' : item.role;
          messages.push({ role, content: item.content.map((part) => ('text' in part ? part.text : '')).join('\n') });
        }
        break;
    }
  }
  return messages;
}

function readOutput(output: ResponseFunctionToolCallOutputItem['output']): string {
  return typeof output === 'string' ? output : output.map((part) => ('text' in part ? part.text : '')).join('\n');
}
