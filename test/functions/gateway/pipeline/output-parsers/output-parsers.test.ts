import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCallArrayParser } from '../../../../../functions/gateway/pipeline/output-parsers/call-array.ts';
import { createHermesParser } from '../../../../../functions/gateway/pipeline/output-parsers/hermes.ts';
import { createLlama3JsonParser } from '../../../../../functions/gateway/pipeline/output-parsers/llama3-json.ts';
import { createMistralParser } from '../../../../../functions/gateway/pipeline/output-parsers/mistral.ts';
import { createNamedCallParser } from '../../../../../functions/gateway/pipeline/output-parsers/named-call.ts';
import { joinParts, type OutputParser, type OutputPart } from '../../../../../functions/gateway/pipeline/output-parsers/output-part.ts';
import { createPlainTextParser } from '../../../../../functions/gateway/pipeline/output-parsers/plain-text.ts';
import { createReasoningParser } from '../../../../../functions/gateway/pipeline/output-parsers/reasoning.ts';

const isTool = (name: string) => name === 'get_weather' || name === 'now';
const parsers: Record<string, () => OutputParser> = {
  hermes: () => createHermesParser(isTool),
  'llama3-json': () => createLlama3JsonParser(isTool),
  mistral: () => createMistralParser(isTool),
  'call array': () => createCallArrayParser(isTool),
  'named call': () => createNamedCallParser('now'),
  reasoning: () => createReasoningParser(createPlainTextParser(), { startsInside: false }),
  'reasoning, then hermes': () => createReasoningParser(createHermesParser(isTool), { startsInside: true }),
};

function parse(parser: OutputParser, pieces: readonly string[]): readonly OutputPart[] {
  return joinParts([...pieces.flatMap((piece) => parser.push(piece)), ...parser.flush()]);
}

const content = (text: string): OutputPart => ({ type: 'content', text });
const reasoning = (text: string): OutputPart => ({ type: 'reasoning', text });
const call = (index: number, name: string, text: string): OutputPart[] => [
  { type: 'tool-call', call: index, name },
  { type: 'tool-arguments', call: index, text },
];

const WEATHER = '{"name": "get_weather", "arguments": {"city": "Paris", "note": "a \\"}\\" in a string"}}';
const WEATHER_ARGUMENTS = '{"city": "Paris", "note": "a \\"}\\" in a string"}';

describe('what the families write', () => {
  it.each<[string, string, string, readonly OutputPart[]]>([
    ['hermes', 'a call', `<tool_call>\n${WEATHER}\n</tool_call>`, call(0, 'get_weather', WEATHER_ARGUMENTS)],
    [
      'hermes',
      'text, then two calls',
      `Let me look.\n\n<tool_call>\n${WEATHER}\n</tool_call>\n<tool_call>\n{"name":"now","arguments":{}}\n</tool_call>\n`,
      [content('Let me look.'), ...call(0, 'get_weather', WEATHER_ARGUMENTS), ...call(1, 'now', '{}')],
    ],
    [
      'hermes',
      'arguments before the name',
      '<tool_call>{"arguments": {"x": [1, 2]}, "name": "now"}</tool_call>',
      call(0, 'now', '{"x": [1, 2]}'),
    ],
    ['hermes', 'a call without arguments', '<tool_call>{"name": "now"}</tool_call>', call(0, 'now', '{}')],
    [
      'hermes',
      'other fields, bare values among them',
      '<tool_call>{"id": 7, "ok": true, "name": "now", "arguments": {}}</tool_call>',
      call(0, 'now', '{}'),
    ],
    [
      'hermes',
      'an unknown tool is text',
      '<tool_call>{"name": "rm", "arguments": {}}</tool_call>',
      [content('<tool_call>{"name": "rm", "arguments": {}}</tool_call>')],
    ],
    [
      'hermes',
      'broken JSON is text',
      '<tool_call>{"name" get_weather}</tool_call> sorry',
      [content('<tool_call>{"name" get_weather}</tool_call> sorry')],
    ],
    ['hermes', 'an answer that ends inside a tag', 'so <tool', [content('so <tool')]],
    ['hermes', 'a call cut by the limit', '<tool_call>{"name": "now", "arguments": {"a": "b', call(0, 'now', '{"a": "b')],
    ['hermes', 'plain text', 'a < b and <b>bold</b> ', [content('a < b and <b>bold</b> ')]],
    ['llama3-json', 'a call', '{"name": "get_weather", "parameters": {"city": "Paris"}}', call(0, 'get_weather', '{"city": "Paris"}')],
    [
      'llama3-json',
      'two calls behind the tag',
      '<|python_tag|>{"name": "now", "parameters": {}}; {"name": "now", "parameters": {"tz": "UTC"}}',
      [...call(0, 'now', '{}'), ...call(1, 'now', '{"tz": "UTC"}')],
    ],
    ['llama3-json', 'JSON that is no call', '{"city": "Paris"}', [content('{"city": "Paris"}')]],
    ['llama3-json', 'text', 'Paris. {"name": "now", "parameters": {}}', [content('Paris. {"name": "now", "parameters": {}}')]],
    [
      'mistral',
      'two calls',
      `[TOOL_CALLS] [${WEATHER}, {"name": "now", "arguments": {}}]`,
      [...call(0, 'get_weather', WEATHER_ARGUMENTS), ...call(1, 'now', '{}')],
    ],
    ['mistral', 'text that looks alike', '[TOOL_CALLS are nice] [1]', [content('[TOOL_CALLS are nice] [1]')]],
    ['mistral', 'no array', '[TOOL_CALLS] none', [content('[TOOL_CALLS] none')]],
    [
      'reasoning',
      'thoughts, then the answer',
      '<think>\nFour, I think.\n</think>\n\nIt is 4.',
      [reasoning('Four, I think.'), content('It is 4.')],
    ],
    ['reasoning', 'no thoughts', 'It is 4. <think>', [content('It is 4. <think>')]],
    ['reasoning', 'empty thoughts', '<think>\n\n</think>\n\nIt is 4.', [content('It is 4.')]],
    ['reasoning', 'thoughts that never end', '<think>Hm, a < b', [reasoning('Hm, a < b')]],
    [
      'reasoning, then hermes',
      'both',
      `I should look.\n</think>\n\n<tool_call>\n${WEATHER}\n</tool_call>`,
      [reasoning('I should look.'), ...call(0, 'get_weather', WEATHER_ARGUMENTS)],
    ],
  ])('%s: %s', (family, _, text, expected) => {
    expect(parse(parsers[family]?.() ?? createPlainTextParser(), [text])).toEqual(expected);
  });
});

/** Texts made of what the parsers look for, whole and broken. */
const fragment = fc.constantFrom(
  ...[
    '<tool_call>',
    '</tool_call>',
    '<tool_',
    '<think>',
    '</think>',
    '</thi',
    '[TOOL_CALLS]',
    '[TOOL_',
    '<|python_tag|>',
    WEATHER,
    '{"name": "now", "parameters": {}}',
  ],
  ...[
    '{"name": "rm", "arguments": {}}',
    '{"name":',
    '"now"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ';',
    '"',
    '\\',
    ' ',
    '\n',
    'word',
    '3.5',
    'true',
    '👩‍👧',
    'é',
  ],
);
const cutText = fc
  .array(fragment, { maxLength: 12 })
  .map((fragments) => fragments.join(''))
  .chain((text) => fc.tuple(fc.constant(text), fc.array(fc.nat(text.length), { maxLength: 20 })));

function cut(text: string, places: readonly number[]): readonly string[] {
  const borders = [0, ...[...places].sort((one, other) => one - other), text.length];
  return borders.slice(1).map((border, index) => text.slice(borders[index], border));
}

const withoutSpace = (text: string) => text.replace(/\s/g, '');

describe.each(Object.entries(parsers))('%s', (_, create) => {
  it('says the same however the text is cut', () => {
    fc.assert(
      fc.property(cutText, ([text, places]) => {
        expect(parse(create(), cut(text, places))).toEqual(parse(create(), [text]));
      }),
      { numRuns: 2000 },
    );
  });

  it('loses no letter of the answer', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom('a', ' ', '\n', '<', '>', '{', '}', '[', ']', '|', 'é', '👋'), { maxLength: 40 }), (letters) => {
        const text = letters.join('');
        const shown = parse(create(), [text]).map((part) => (part.type === 'tool-call' ? '' : part.text));
        expect(withoutSpace(shown.join(''))).toBe(withoutSpace(text));
      }),
    );
  });
});
