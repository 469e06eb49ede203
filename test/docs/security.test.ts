import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const project = new URL('../../', import.meta.url);
const read = (path: string) => readFile(fileURLToPath(new URL(path, project)), 'utf8');

/** A title in the document may go on in its next line. */
const inOneLine = (text: string) => text.replaceAll(/\s+/g, ' ');

/** ` `test/FILE` "title" and "title" `, as the document names its proofs. */
function* namedTests(text: string): Generator<{ path: string; titles: string[] }> {
  for (const [, path = '', titles = ''] of text.matchAll(/`(test\/[\w./-]+)`((?:(?: and)? "[^"]+")*)/g)) {
    yield { path, titles: [...titles.matchAll(/"([^"]+)"/g)].map(([, title = '']) => title) };
  }
}

const page = inOneLine(await read('docs/security.md'));
const rows = [...page.matchAll(/\| ((?:LLM|API)\d+) [^|]*\|[^|]*\|([^|]*)\|/g)].map(([, risk = '', proof = '']) => ({ risk, proof }));

it('docs/security.md answers to both of OWASP’s lists', () => {
  const numbers = Array.from({ length: 10 }, (_, index) => index + 1);
  expect(rows.map(({ risk }) => risk)).toEqual([
    ...numbers.map((number) => `LLM${String(number).padStart(2, '0')}`),
    ...numbers.map((number) => `API${number}`),
  ]);
});

it.each(rows)('docs/security.md names a test for $risk', ({ proof }) => {
  expect([...namedTests(proof)].flatMap(({ titles }) => titles).length).toBeGreaterThan(0);
});

it.each([...namedTests(page)])('docs/security.md names tests that are in $path', async ({ path, titles }) => {
  const source = inOneLine(await read(path));
  for (const title of titles) expect(source.includes(title), title).toBe(true);
});
