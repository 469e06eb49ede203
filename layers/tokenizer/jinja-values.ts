/**
 * Values inside @huggingface/jinja. The package does not export their classes, so they are taken from values that it makes itself.
 */
import { formatPythonFloat, JsonNumber } from './exact-json.ts';
import { Environment, type JinjaValue } from './jinja-package.ts';

type ValueClass = new (value: unknown) => JinjaValue;

const sample = (value: unknown) => new Environment().set('sample', value).constructor as ValueClass;
const StringValue = sample('');
const IntegerValue = sample(1);
const FloatValue = sample(1.5);
const ArrayValue = sample([]);
const ObjectValue = sample({});
const NullValue = sample(null);

function isOf(type: ValueClass, value: JinjaValue): boolean {
  return value instanceof type;
}

/** Digits of integers that a double cannot hold, by value. */
const exactIntegers = new WeakMap<JinjaValue, string>();

export function createString(text: string): JinjaValue {
  return new StringValue(text);
}

export function createInteger(value: number): JinjaValue {
  return new IntegerValue(value);
}

/** The text of a string value. */
export function readString(value: JinjaValue): string | undefined {
  return value instanceof StringValue ? (value.value as string) : undefined;
}

/** Converts plain data, `JsonNumber`s included. Functions and other objects are not data. */
export function createValue(data: unknown): JinjaValue {
  if (data === null) return new NullValue(null);
  if (typeof data === 'string') return createString(data);
  if (typeof data === 'number') return Number.isInteger(data) ? createInteger(data) : createFloat(data);
  if (data instanceof JsonNumber) return createNumber(data.source);
  if (Array.isArray(data)) return new ArrayValue(data.map(createValue));
  if (typeof data === 'object') {
    const entries = Object.entries(data).filter(([, value]) => value !== undefined);
    return new ObjectValue(new Map(entries.map(([key, value]) => [key, createValue(value)])));
  }
  return new Environment().set('value', data);
}

function createNumber(source: string): JinjaValue {
  if (!/^-?\d+$/.test(source)) return createFloat(Number(source));
  const integer = createInteger(Number(source) + 0); // -0 is 0 to Python
  if (!Number.isSafeInteger(Number(source))) {
    exactIntegers.set(integer, source);
    integer.toString = () => source;
  }
  return integer;
}

function createFloat(value: number): JinjaValue {
  const float = new FloatValue(value);
  float.toString = () => formatPythonFloat(value);
  return float;
}

export interface JsonStyle {
  readonly indent: number | undefined;
  readonly ensureAscii: boolean;
  readonly sortKeys: boolean;
  /** Between items and after keys. */
  readonly separators: readonly [string, string];
}

/** `json.dumps`. */
export function writePythonJson(value: JinjaValue, style: JsonStyle, depth = 0): string {
  const data: unknown = value.value;
  if (isOf(FloatValue, value)) return formatPythonFloat(data as number);
  if (isOf(IntegerValue, value)) return exactIntegers.get(value) ?? String(data);
  if (typeof data === 'string') return writeString(data, style);
  if (typeof data === 'boolean') return String(data);
  if (Array.isArray(data)) {
    return wrap(
      '[',
      (data as JinjaValue[]).map((item) => writePythonJson(item, style, depth + 1)),
      ']',
      style,
      depth,
    );
  }
  if (data instanceof Map) {
    const entries = [...(data as Map<string, JinjaValue>)];
    if (style.sortKeys) entries.sort(([a], [b]) => (a < b ? -1 : 1));
    const members = entries.map(([key, item]) => writeString(key, style) + style.separators[1] + writePythonJson(item, style, depth + 1));
    return wrap('{', members, '}', style, depth);
  }
  return 'null';
}

function writeString(text: string, { ensureAscii }: JsonStyle): string {
  const json = JSON.stringify(text);
  if (!ensureAscii) return json;
  return json.replace(/[\x7f-\uffff]/g, (unit) => (unit === '\x7f' ? unit : `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`));
}

function wrap(open: string, items: readonly string[], close: string, { indent, separators }: JsonStyle, depth: number): string {
  if (items.length === 0) return open + close;
  if (indent === undefined) return open + items.join(separators[0]) + close;
  const line = (level: number) => `\n${' '.repeat(indent * level)}`;
  return open + line(depth + 1) + items.join(separators[0] + line(depth + 1)) + line(depth) + close;
}
