/**
 * Hugging Face's dialect of Jinja, by @huggingface/jinja, with what that package does otherwise than Python put right: `tojson` with
 * numbers as typed, `trim`, `strip` and their kin with Python's white space and their arguments, `length` in code points, dates in UTC.
 */
import { ChatTemplateError } from './errors.ts';
import { Environment, Interpreter, type JinjaEnvironment, type JinjaNode, type JinjaValue, parse, tokenize } from './jinja-package.ts';
import { createInteger, createString, createValue, type JsonStyle, readString, writePythonJson } from './jinja-values.ts';
import { markLiterals } from './mark-literals.ts';
import { countCodePoints, formatDate, strip, stripEnd, stripStart } from './python-text.ts';

const CONSTANTS = { true: true, false: false, none: null, True: true, False: false, None: null };

/** A template, parsed once. */
export class JinjaTemplate {
  readonly #source: string;
  readonly #program: JinjaNode;

  /** @param changeText applied to each literal text that the template can put out. @throws {ChatTemplateError} a template that cannot be read. */
  constructor(source: string, changeText?: (text: string) => string) {
    this.#source = source;
    // transformers' own tag: it only notes where the assistant's text is.
    const known = source.replace(
      /(\{%[-+]?\s*)(end)?generation(\s*[-+]?%\})/g,
      (_, open, end, close) => open + (end ? 'endif' : 'if true') + close,
    );
    try {
      this.#program = parse(tokenize(known, { lstrip_blocks: true, trim_blocks: true }));
    } catch (cause) {
      throw new ChatTemplateError('The chat template cannot be read as Jinja.', { cause });
    }
    if (changeText !== undefined) markLiterals(this.#program, changeText);
  }

  /** @throws {ChatTemplateError} the template refuses the variables, or cannot render them. Never shows the variables' text. */
  render(variables: Readonly<Record<string, unknown>>, now: Date = new Date()): string {
    const environment = new Environment();
    for (const [name, value] of Object.entries({ ...CONSTANTS, ...variables })) environment.setVariable(name, createValue(value));
    environment.set('range', range);
    environment.set('strftime_now', (format: unknown) => formatDate(now, String(format)));
    environment.set('raise_exception', (reason: unknown) => {
      throw new ChatTemplateError(this.#describeRefusal(String(reason)));
    });
    try {
      return String(new PythonicInterpreter(environment).run(this.#program).value);
    } catch (error) {
      if (error instanceof ChatTemplateError) throw error;
      throw new ChatTemplateError('The chat template cannot render these messages: something that it needs is missing or of another type.');
    }
  }

  /** Reasons that the template has as they are may be shown; those that it puts together may hold text of a message. */
  #describeRefusal(reason: string): string {
    const own = this.#source.includes(reason) || this.#source.includes(reason.replaceAll("'", "\\'"));
    return own ? `The chat template refuses these messages: ${reason}` : 'The chat template refuses these messages.';
  }
}

function range(start: number, stop?: number, step = 1): number[] {
  const [from, to] = stop === undefined ? [0, start] : [start, stop];
  return Array.from({ length: Math.max(0, Math.ceil((to - from) / step)) }, (_, index) => from + index * step);
}

const STRIPS: Readonly<Record<string, (text: string, characters?: string) => string>> = { strip, lstrip: stripStart, rstrip: stripEnd };

class PythonicInterpreter extends Interpreter {
  override evaluate(node: JinjaNode | undefined, environment: JinjaEnvironment): JinjaValue {
    if (node?.type === 'FilterExpression') return this.#filter(node as FilterNode, environment) ?? super.evaluate(node, environment);
    if (node?.type === 'CallExpression') return this.#strip(node as CallNode, environment) ?? super.evaluate(node, environment);
    return super.evaluate(node, environment);
  }

  #filter({ operand, filter }: FilterNode, environment: JinjaEnvironment): JinjaValue | undefined {
    const call = isCall(filter) ? filter : undefined;
    const name = String(call === undefined ? filter['value'] : call.callee['value']);
    if (name === 'tojson') return createString(writePythonJson(this.evaluate(operand, environment), this.#readStyle(call, environment)));
    if (name !== 'trim' && name !== 'length') return undefined;
    const text = readString(this.evaluate(operand, environment));
    if (text === undefined) return undefined;
    return name === 'trim' ? createString(strip(text, this.#argument(call, environment))) : createInteger(countCodePoints(text));
  }

  /** transformers' `tojson`: its defaults are not Jinja's. */
  #readStyle(call: CallNode | undefined, environment: JinjaEnvironment): JsonStyle {
    const keywords = new Map<string, unknown>();
    for (const argument of call?.args ?? []) {
      if (!isKeyword(argument)) continue;
      keywords.set(argument.key.value, this.evaluate(argument.value, environment).value);
    }
    const indent = keywords.get('indent');
    const separators = keywords.get('separators');
    return {
      indent: typeof indent === 'number' ? indent : undefined,
      ensureAscii: keywords.get('ensure_ascii') === true,
      sortKeys: keywords.get('sort_keys') === true,
      separators: Array.isArray(separators) ? [String(separators[0]), String(separators[1])] : [indent === undefined ? ', ' : ',', ': '],
    };
  }

  #strip({ callee, args }: CallNode, environment: JinjaEnvironment): JinjaValue | undefined {
    if (!isMember(callee) || callee.computed) return undefined;
    const name = callee.property.value;
    const apply = Object.hasOwn(STRIPS, name) ? STRIPS[name] : undefined;
    if (apply === undefined) return undefined;
    const text = readString(this.evaluate(callee.object, environment));
    return text === undefined ? undefined : createString(apply(text, this.#argument({ args }, environment)));
  }

  #argument(call: Pick<CallNode, 'args'> | undefined, environment: JinjaEnvironment): string | undefined {
    const [first] = call?.args ?? [];
    return first === undefined ? undefined : readString(this.evaluate(first, environment));
  }
}

type CallNode = JinjaNode & { readonly callee: JinjaNode; readonly args: readonly JinjaNode[] };
type FilterNode = JinjaNode & { readonly operand: JinjaNode; readonly filter: JinjaNode };
type MemberNode = JinjaNode & { readonly computed: boolean; readonly object: JinjaNode; readonly property: { readonly value: string } };
type KeywordNode = JinjaNode & { readonly key: { readonly value: string }; readonly value: JinjaNode };

function isCall(node: JinjaNode): node is CallNode {
  return node.type === 'CallExpression';
}

function isMember(node: JinjaNode): node is MemberNode {
  return node.type === 'MemberExpression';
}

function isKeyword(node: JinjaNode): node is KeywordNode {
  return node.type === 'KeywordArgumentExpression';
}
