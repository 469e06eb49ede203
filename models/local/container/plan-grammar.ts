import { type CompletionInvocation, InvocationError, type StructuredOutputs } from '../../invocation.ts';
import type { GrammarSpec } from '../engine/grammar.ts';

/** What the answer must be, or `undefined`. Throws `InvocationError` for a form that would not be enforced. */
export function planGrammar(body: CompletionInvocation): GrammarSpec | undefined {
  const { structured_outputs: outputs, response_format: format } = body;
  if (outputs && format && format.type !== 'text') {
    throw new InvocationError('Give structured_outputs or response_format, not both.', { param: 'response_format' });
  }
  if (outputs) return fromStructuredOutputs(outputs);
  switch (format?.type) {
    case undefined:
    case 'text':
      return undefined;
    case 'json_object':
      return ANY_OBJECT;
    case 'json_schema':
      return fromSchema(format.json_schema.schema ?? {}, 'response_format.json_schema.schema');
    case 'structural_tag':
      return { type: 'structural-tag', tag: JSON.stringify(format) };
  }
}

const ANY_OBJECT: GrammarSpec = { type: 'json-schema', schema: '{"type":"object","additionalProperties":true}' };

function fromStructuredOutputs(outputs: StructuredOutputs): GrammarSpec {
  const { json, regex, choice, grammar, structural_tag: tag } = outputs;
  if (json) return fromSchema(typeof json === 'string' ? parseJson(json, 'structured_outputs.json') : json, 'structured_outputs.json');
  if (typeof regex === 'string') return { type: 'regex', pattern: regex };
  if (choice) return { type: 'choice', choices: choice };
  if (typeof grammar === 'string') return { type: 'ebnf', grammar };
  if (tag) return { type: 'structural-tag', tag: typeof tag === 'string' ? tag : JSON.stringify(tag) };
  if (outputs.json_object === false) throw new InvocationError('json_object must be true.', { param: 'structured_outputs.json_object' });
  return ANY_OBJECT;
}

function fromSchema(schema: unknown, param: string): GrammarSpec {
  checkSchema(schema, param, 0);
  return { type: 'json-schema', schema: JSON.stringify(schema, (_key, value: unknown) => boundString(value, param)) };
}

/** What may stand in a JSON string as it is: no quote, no backslash, no control character. */
const PLAIN = String.raw`"\\\x00-\x1f`;

/** XGrammar (0.1.27) lets strings with a length or a pattern hold what JSON does not: both become patterns of plain characters. */
function boundString(value: unknown, param: string): unknown {
  if (typeof value !== 'object' || value === null || !('type' in value) || value.type !== 'string') return value;
  if ('minLength' in value || 'maxLength' in value) {
    const { minLength = 0, maxLength = '', ...rest }: { readonly minLength?: unknown; readonly maxLength?: unknown } = value;
    if (![minLength, maxLength || 0].every((length) => Number.isSafeInteger(length))) {
      throw new InvocationError('The JSON schema has a length that is no whole number.', { param });
    }
    return { ...rest, pattern: `^[^${PLAIN}]{${minLength},${maxLength}}$` };
  }
  if ('pattern' in value && typeof value.pattern === 'string') return { ...value, pattern: keepPlain(value.pattern, param) };
  return value;
}

/** The regular expression, less the characters that would need an escape in JSON. */
function keepPlain(pattern: string, param: string): string {
  return pattern.replaceAll(/\\(.)|\[\^|["\n]|\./gs, (found, escaped: string | undefined) => {
    if (found === '.') return `[^${PLAIN}]`;
    if (found === '[^') return `[^${PLAIN}`;
    if (escaped === 's') return ' ';
    if (found === '"' || found === '\n' || (escaped !== undefined && '\\"SDWnrtfvbx0u'.includes(escaped))) {
      throw new InvocationError('The JSON schema has a pattern with characters that need an escape in JSON, which cannot be enforced.', {
        param,
      });
    }
    return found;
  });
}

/** Keywords that describe and do not constrain. */
const ANNOTATIONS = ['title', 'description', 'default', 'examples', '$schema', '$id', '$comment', 'deprecated', 'readOnly', 'writeOnly'];
/** Keywords that XGrammar enforces. Every other one would be passed over in silence, so it is refused. */
const ENFORCED = [
  ...['type', 'enum', 'const', '$ref', 'properties', 'required', 'additionalProperties', 'items', 'prefixItems', 'minItems', 'maxItems'],
  ...['minLength', 'maxLength', 'pattern', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'anyOf', '$defs', 'definitions'],
];
const KNOWN = new Set([...ANNOTATIONS, ...ENFORCED]);
/** Of these one alone is enforced where several stand. */
const EXCLUSIVE = ['const', 'enum', '$ref', 'anyOf'];
const DEEPEST = 64;

function checkSchema(schema: unknown, param: string, depth: number): void {
  if (typeof schema === 'boolean') return;
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    throw new InvocationError('A JSON schema is an object.', { param });
  }
  if (depth > DEEPEST) throw new InvocationError(`The JSON schema is nested more than ${DEEPEST} deep.`, { param });
  const entries = Object.entries(schema);
  for (const [keyword] of entries) if (!KNOWN.has(keyword)) throw unenforced(keyword, param);
  const alternatives = EXCLUSIVE.filter((keyword) => keyword in schema);
  const beside = entries.filter(
    ([keyword]) => !ANNOTATIONS.includes(keyword) && !['type', '$defs', 'definitions', ...alternatives].includes(keyword),
  );
  if (alternatives.length > 1 || (alternatives.length === 1 && beside.length > 0)) {
    throw new InvocationError(
      `The JSON schema combines ${[...alternatives, ...beside.map(([keyword]) => keyword)].join(' and ')}, which cannot be enforced together.`,
      { param },
    );
  }
  if ('pattern' in schema && ('minLength' in schema || 'maxLength' in schema)) throw unenforced('pattern together with a length', param);
  for (const [keyword, value] of entries) {
    if (['properties', '$defs', 'definitions'].includes(keyword))
      for (const inner of Object.values(asObject(value, param))) checkSchema(inner, param, depth + 1);
    if (['anyOf', 'prefixItems'].includes(keyword)) for (const inner of asList(value, param)) checkSchema(inner, param, depth + 1);
    if (['items', 'additionalProperties'].includes(keyword)) checkSchema(value, param, depth + 1);
  }
}

function unenforced(keyword: string, param: string): InvocationError {
  // A keyword that nobody knows is the caller's text, and is not repeated.
  const named = /^[$a-zA-Z ]{1,40}$/.test(keyword) ? keyword : 'one';
  return new InvocationError(`The JSON schema uses a keyword that cannot be enforced: ${named}. These can: ${ENFORCED.join(', ')}.`, {
    param,
  });
}

function asObject(value: unknown, param: string): object {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  throw new InvocationError('The JSON schema has a list or value where an object must be.', { param });
}

function asList(value: unknown, param: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw new InvocationError('The JSON schema has an empty or no list where one must be.', { param });
}

function parseJson(text: string, param: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new InvocationError('The JSON schema is no JSON.', { param });
  }
}
