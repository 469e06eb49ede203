/**
 * The parts of @huggingface/jinja that are used here, with their types: the package's own declarations name each other without file
 * extensions, which Node's resolution does not take, so TypeScript sees them as `any`.
 */
import * as jinja from '@huggingface/jinja';

export interface JinjaValue {
  readonly value: unknown;
  toString(): string;
}

export interface JinjaEnvironment {
  /** Converts plain data, or a function of plain data. */
  set(name: string, value: unknown): JinjaValue;
  setVariable(name: string, value: JinjaValue): JinjaValue;
}

/** A node of the syntax tree; which fields it has depends on its type. */
export interface JinjaNode {
  readonly type: string;
  readonly [field: string]: unknown;
}

interface JinjaInterpreter {
  run(program: JinjaNode): JinjaValue;
  evaluate(node: JinjaNode | undefined, environment: JinjaEnvironment): JinjaValue;
}

interface JinjaPackage {
  readonly Environment: new () => JinjaEnvironment;
  readonly Interpreter: new (environment: JinjaEnvironment) => JinjaInterpreter;
  tokenize(source: string, options: { readonly lstrip_blocks: boolean; readonly trim_blocks: boolean }): readonly unknown[];
  parse(tokens: readonly unknown[]): JinjaNode;
}

// One by one, so that a bundle leaves out what is not among them.
export const Environment: JinjaPackage['Environment'] = jinja.Environment;
export const Interpreter: JinjaPackage['Interpreter'] = jinja.Interpreter;
export const tokenize: JinjaPackage['tokenize'] = jinja.tokenize;
export const parse: JinjaPackage['parse'] = jinja.parse;
