/** Constrained decoding: which tokens may come next, by XGrammar (Dong et al., 2024), which keeps a token mask for each grammar state. */
import type { CompiledGrammar, GrammarCompiler, GrammarMatcher } from '@mlc-ai/web-xgrammar';
import { spellBytes, type Tokenizer } from '../../../layers/tokenizer/index.ts';
import { loadXgrammar, type XgrammarInstance } from './load-xgrammar.ts';

/** What an answer must be, whole. Schemas and tags are JSON texts. */
export type GrammarSpec =
  | { readonly type: 'json-schema'; readonly schema: string }
  | { readonly type: 'regex'; readonly pattern: string }
  | { readonly type: 'choice'; readonly choices: readonly string[] }
  | { readonly type: 'ebnf'; readonly grammar: string }
  | { readonly type: 'structural-tag'; readonly tag: string };

/** The grammar cannot be enforced. The message says why, in XGrammar's words, without quoting the grammar. */
export class GrammarError extends Error {
  override readonly name = 'GrammarError';
}

/** Follows one answer through its grammar. */
export interface AnswerGrammar {
  /** Takes away every token that the grammar does not allow now. @returns false when that is every token. */
  mask(row: Float32Array): Promise<boolean>;
  /** Says which token was taken. @returns whether the answer is complete with it. */
  accept(tokenId: number): boolean;
  dispose(): void;
}

interface Compiler {
  readonly instance: XgrammarInstance;
  readonly compiler: GrammarCompiler;
}

/** Compiled grammars that are kept: a schema is usually sent again and again. */
const KEPT_GRAMMARS = 64;

export class Grammars {
  readonly #loadTokenizer: () => Promise<Tokenizer>;
  readonly #stopTokenIds: readonly number[];
  #compiler: Promise<Compiler> | undefined;
  readonly #compiled = new Map<string, Promise<{ instance: XgrammarInstance; grammar: CompiledGrammar }>>();

  /** @param loadVocabulary is called with the first grammar: most containers never need it in this thread. */
  constructor(loadVocabulary: () => Promise<Tokenizer>, stopTokenIds: readonly number[]) {
    this.#loadTokenizer = loadVocabulary;
    this.#stopTokenIds = stopTokenIds;
  }

  /** Compiles the grammar, unless it is known. @throws {GrammarError} */
  async check(spec: GrammarSpec): Promise<void> {
    await this.#compile(spec);
  }

  /** @throws {GrammarError} */
  async begin(spec: GrammarSpec): Promise<AnswerGrammar> {
    const { instance, grammar } = await this.#compile(spec);
    const matcher = await instance.xgrammar.GrammarMatcher.createGrammarMatcher(grammar);
    return new MatchedAnswer(matcher);
  }

  async #compile(spec: GrammarSpec): Promise<{ instance: XgrammarInstance; grammar: CompiledGrammar }> {
    const key = JSON.stringify(spec);
    const known = this.#compiled.get(key);
    if (known !== undefined) {
      this.#compiled.delete(key);
      this.#compiled.set(key, known);
      return known;
    }
    const compiling = this.#compileAnew(spec);
    this.#compiled.set(key, compiling);
    compiling.catch(() => this.#compiled.delete(key));
    const [oldest] = this.#compiled.keys();
    // Its memory goes with the instance: a matcher may still follow it.
    if (this.#compiled.size > KEPT_GRAMMARS && oldest !== undefined) this.#compiled.delete(oldest);
    return compiling;
  }

  async #compileAnew(spec: GrammarSpec): Promise<{ instance: XgrammarInstance; grammar: CompiledGrammar }> {
    this.#compiler ??= this.#createCompiler();
    const { instance, compiler } = await this.#compiler;
    try {
      return { instance, grammar: await compile(instance, compiler, spec) };
    } catch (error) {
      // A module that has aborted is in no known state: what runs may end with it, new grammars get a new one.
      this.#compiler = undefined;
      this.#compiled.clear();
      throw new GrammarError(describeAbort(instance.takeErrors()), { cause: error });
    }
  }

  async #createCompiler(): Promise<Compiler> {
    const instance = loadXgrammar();
    const tokenizer = await this.#loadTokenizer();
    const { TokenizerInfo, GrammarCompiler: Factory } = instance.xgrammar;
    const special = new Set(tokenizer.controlTokens.map((content) => tokenizer.specialTokenId(content)));
    // An empty spelling marks a control token: no grammar allows it, however its content reads.
    const spelled = Array.from({ length: tokenizer.vocabularySize }, (_, id) =>
      special.has(id) ? '' : spellBytes(tokenizer.tokenBytes(id)),
    );
    const info = await TokenizerInfo.createTokenizerInfo(spelled, 'byte_level', false, spelled.length, [...this.#stopTokenIds]);
    return { instance, compiler: await Factory.createGrammarCompiler(info) };
  }
}

async function compile({ xgrammar }: XgrammarInstance, compiler: GrammarCompiler, spec: GrammarSpec): Promise<CompiledGrammar> {
  const { Grammar } = xgrammar;
  switch (spec.type) {
    case 'json-schema':
      // One line with single spaces: a small model that may write any white space writes nothing else.
      return compiler.compileJSONSchema(spec.schema, false, -1, [', ', ': '], true);
    case 'regex':
      return compiler.compileGrammar(await Grammar.fromStructuralTag({ format: { type: 'regex', pattern: spec.pattern } }));
    case 'choice': {
      const elements = spec.choices.map((value) => ({ type: 'const_string' as const, value }));
      return compiler.compileGrammar(await Grammar.fromStructuralTag({ format: { type: 'or', elements } }));
    }
    case 'ebnf':
      return compiler.compileGrammar(await Grammar.fromEBNF(spec.grammar));
    case 'structural-tag':
      return compiler.compileGrammar(await Grammar.fromStructuralTag(spec.tag));
  }
}

/** XGrammar's sentence up to where it quotes: "Regex parsing error at position 5". */
function describeAbort(errors: string): string {
  const sentence = /\.cc:\d+: (?:Check failed: \(.*?\) is false: )?(.+)/.exec(errors)?.[1] ?? 'it cannot be read';
  return sentence.split(/["'{[]/, 1)[0]?.trim() || 'it cannot be read';
}

class MatchedAnswer implements AnswerGrammar {
  readonly #matcher: GrammarMatcher;

  constructor(matcher: GrammarMatcher) {
    this.#matcher = matcher;
  }

  async mask(row: Float32Array): Promise<boolean> {
    const bits = await this.#matcher.getNextTokenBitmask();
    let allowed = 0;
    for (let id = 0; id < row.length; id++) {
      if ((((bits[id >> 5] ?? 0) >>> (id & 31)) & 1) === 1) allowed++;
      else row[id] = Number.NEGATIVE_INFINITY;
    }
    return allowed > 0;
  }

  accept(tokenId: number): boolean {
    this.#matcher.acceptToken(tokenId);
    return this.#matcher.isTerminated();
  }

  dispose(): void {
    this.#matcher.dispose();
  }
}
