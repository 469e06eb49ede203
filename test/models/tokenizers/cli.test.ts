import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { ENCODINGS, encodingPath, loadEncoding } from '../../../models/tokenizers/encodings.ts';

const cli = fileURLToPath(new URL('../../../models/tokenizers/cli.ts', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'penstock-tokenizer-'));
afterAll(() => rmSync(folder, { recursive: true }));

function run(args: readonly string[], input = ''): Promise<{ out: string; error: string; code: number }> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [cli, ...args], (failure, out, error) =>
      resolve({ out, error, code: Number(failure?.code ?? 0) }),
    );
    child.stdin?.end(input);
  });
}

describe('npm run tokenizer', { timeout: 60_000 }, () => {
  const path = join(folder, 'text.txt');
  writeFileSync(path, '\ufeffHello <|im_end|> wörld\n');

  it('counts, encodes and decodes a file back to its bytes', async () => {
    const model = ['--model', 'smollm2-135m-instruct'];
    const { out: ids } = await run(['encode', path, ...model]);
    expect((await run(['count', path, ...model])).out).toBe(`${ids.trim().split(' ').length}\n`);
    expect((await run(['decode', '-', ...model], ids)).out).toBe(readFileSync(path, 'utf8'));
    expect(ids.split(' ')).not.toContain('2');
    expect((await run(['encode', path, '--special', ...model])).out.split(' ')).toContain('2');
  });

  it.each([
    [['count'], /Name a model/],
    [['count', '--model', 'cl100k_base'], /needs a file/],
    [['count', join(folder, 'none'), '--model', 'smollm2-135m-instruct'], /cannot be read \(ENOENT\)/],
    [['count', path, '--model', 'gpt-9'], /no model of the catalog, no encoding/],
    [['count', path, '--model', join(folder, 'none.bin')], /cannot be read/],
    [['shout', path], /no command shout/],
    [['count', path, '--frobnicate'], /frobnicate/],
    [['compile', path, '--out', join(folder, 'x.bin')], /is not JSON/],
    [['decode', path, '--model', 'smollm2-135m-instruct'], /is no token id/],
  ])('says what is wrong with %j in one sentence', async (args, message) => {
    const { error, code } = await run(args);
    expect({ error, code }).toEqual({ error: expect.stringMatching(message), code: 1 });
    expect(error).not.toMatch(/^\s+at /m);
  });

  it('shows how it is used', async () => {
    expect((await run(['--help'])).out).toContain('npm run tokenizer -- count');
  });
});

describe('a compiled encoding', () => {
  it('is compiled when it is missing or damaged, and is the one that its digest names', { timeout: 60_000 }, async () => {
    expect((await loadEncoding('r50k_base', folder)).digest).toBe(ENCODINGS.r50k_base);
    writeFileSync(encodingPath('r50k_base', folder), 'cut');
    expect((await loadEncoding('r50k_base', folder)).digest).toBe(ENCODINGS.r50k_base);
    expect(readFileSync(encodingPath('r50k_base', folder)).length).toBeGreaterThan(1e6);
  });
});
