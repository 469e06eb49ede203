import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MODEL_FILES } from '../../../../models/local/convert/model-folder.ts';
import { freePort } from '../../../../models/local/free-port.ts';
import { convertTinyModel } from '../../../support/tiny-model.ts';

const MAIN = new URL('../../../../models/local/container/main.ts', import.meta.url).pathname;

describe('the container as a process', () => {
  let model: Awaited<ReturnType<typeof convertTinyModel>>;
  beforeAll(async () => {
    model = await convertTinyModel('mixed');
  });
  afterAll(() => model[Symbol.asyncDispose]());

  /** Resolves when the container has said that it is ready. */
  const start = async (...options: string[]): Promise<{ child: ChildProcess; url: string }> => {
    const port = await freePort();
    const child = spawn(process.execPath, [MAIN, '--model', model.path, '--port', `${port}`, ...options], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(createInterface(child.stdout), 'line')) as [string]; // readline's own event
    expect(JSON.parse(line)).toMatchObject({ event: 'ready', address: `http://127.0.0.1:${port}` });
    return { child, url: `http://127.0.0.1:${port}` };
  };
  const stream = (url: string, maxTokens: number) =>
    fetch(`${url}/invocations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        prompt: [257, 72],
        max_tokens: maxTokens,
        temperature: 0,
        ignore_eos: true,
        stream: true,
        return_token_ids: true,
      }),
    });

  it('finishes running streams after SIGTERM, takes no new ones, and exits with 0', async () => {
    const { child, url } = await start();
    const response = await stream(url, 250);
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader?.read())?.value ?? '';
    child.kill('SIGTERM');
    for (let part = await reader?.read(); part?.done === false; part = await reader?.read()) text += part.value;
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
    const ids = [...text.matchAll(/"token_ids":\[([\d,]*)\]/g)].flatMap(([, list = '']) => list.split(','));
    expect(ids).toHaveLength(250);
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
    await expect(stream(url, 1)).rejects.toThrow();
  });

  it('cuts streams that are not finished when the drain ends', async () => {
    const { child, url } = await start('--drain-seconds', '0');
    const response = await stream(url, 250);
    const reader = response.body?.getReader();
    await reader?.read();
    child.kill('SIGTERM');
    const [code] = await once(child, 'exit');
    expect(code).toBe(0);
  });

  it.runIf(process.platform === 'linux')('starts itself anew, as the same process, when its environment lacks what it needs', async () => {
    const { child } = await start();
    const environment = (await readFile(`/proc/${child.pid}/environ`, 'utf8')).split('\0');
    expect(environment).toEqual(
      expect.arrayContaining(['MALLOC_MMAP_THRESHOLD_=131072', 'MALLOC_ARENA_MAX=2', 'GLIBC_TUNABLES=glibc.malloc.hugetlb=1']),
    );
    expect(environment.some((entry) => entry.startsWith('NODE_COMPILE_CACHE='))).toBe(true);
    child.kill('SIGTERM');
    expect((await once(child, 'exit'))[0]).toBe(0);
  });

  it('does not start with damaged weights, which it checks while it loads them', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'penstock-damaged-'));
    await cp(model.path, folder, { recursive: true });
    const weights = await readFile(join(folder, MODEL_FILES.weights));
    weights[weights.length >> 1] = (weights[weights.length >> 1] ?? 0) ^ 1;
    await writeFile(join(folder, MODEL_FILES.weights), weights);
    const child = spawn(process.execPath, [MAIN, '--model', folder, '--port', '0'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const [[line], [code]] = (await Promise.all([once(createInterface(child.stderr), 'line'), once(child, 'exit')])) as [
      [string],
      [number],
    ]; // their events
    expect([line, code]).toEqual([`${join(folder, MODEL_FILES.weights)} is damaged. Convert the model again with npm start.`, 1]);
    await rm(folder, { recursive: true });
  });

  it('says in one sentence that a folder holds no model, with exit code 1', async () => {
    const child = spawn(process.execPath, [MAIN, '--model', '/nowhere'], { stdio: ['ignore', 'ignore', 'pipe'] });
    const [[line], [code]] = (await Promise.all([once(createInterface(child.stderr), 'line'), once(child, 'exit')])) as [
      [string],
      [number],
    ]; // their events
    expect([line, code]).toEqual(['/nowhere holds no converted model. Convert one with npm start.', 1]);
  });
});
