import { readdirSync, readFileSync } from 'node:fs';
import { checkSync } from 'recheck';
import { describe, expect, it } from 'vitest';

const folder = new URL('../../../layers/safety/', import.meta.url);
/** A literal after something that an expression may follow. Comments are cut away before. */
const literal = /(?<=[=(,:!&|?[\s])\/(?![*/ ])((?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+)\/([dgimsuvy]*)(?=[.,;)\s])/g;

const expressions = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .flatMap((name) => {
    const source = readFileSync(new URL(name, folder), 'utf8').replace(/^\s*(\/\*\*.*|\*.*|\/\/.*)$/gm, '');
    return [...source.matchAll(literal)].map(([, pattern = '', flags = '']) => ({ name, pattern, flags }));
  });

describe('the regular expressions of the safety layer', () => {
  it('are found', () => {
    expect(expressions.length).toBeGreaterThan(20);
  });

  it.each(expressions)('take linear time: $pattern in $name', ({ pattern, flags }) => {
    // recheck proves it: an automaton without exponential or polynomial backtracking, or an attack string.
    expect(checkSync(pattern, flags, { timeout: 20_000 })).toMatchObject({ status: 'safe' });
  });
});
