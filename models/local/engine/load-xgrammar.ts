import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export type Xgrammar = typeof import('@mlc-ai/web-xgrammar');

/** One instance of XGrammar's WebAssembly module, and what it last complained of. */
export interface XgrammarInstance {
  readonly xgrammar: Xgrammar;
  /** Empties what was written to its error output since it was last asked. */
  takeErrors(): string;
}

/**
 * Makes a fresh instance. The package's one file is a UMD bundle under a `package.json` that says `"type": "module"`, so neither `import`
 * nor `require` can load it (0.1.27); it is evaluated as the CommonJS module that it is. It gets a console of its own, because its error
 * output quotes the callers' schemas, which belong in no log.
 */
export function loadXgrammar(): XgrammarInstance {
  const path = fileURLToPath(import.meta.resolve('@mlc-ai/web-xgrammar'));
  const errors: string[] = [];
  const note = (...parts: unknown[]) => errors.push(parts.join(' '));
  const evaluate = new Function('exports', 'require', '__filename', 'console', 'module', readFileSync(path, 'utf8'));
  const exports = {};
  evaluate(exports, createRequire(path), path, { log: note, warn: note, error: note, info: note, debug: note }, { exports });
  return { xgrammar: exports as Xgrammar, takeErrors: () => errors.splice(0).join('\n') }; // by the package's own declarations
}
