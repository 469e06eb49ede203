import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readModelConfig } from '../../../../models/local/gguf/model-config.ts';
import { readGguf } from '../../../../models/local/gguf/read-gguf.ts';
import { SentenceError } from '../../../../models/local/sentence-error.ts';
import { ENGINE_FIXTURES } from '../../../support/tiny-model.ts';

const tiny = join(ENGINE_FIXTURES, 'tiny-q4_0.gguf');

describe('readGguf', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'penstock-gguf-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  const write = async (name: string, bytes: Uint8Array): Promise<string> => {
    await writeFile(join(folder, name), bytes);
    return join(folder, name);
  };
  /** The tiny file with one of its texts replaced by another of the same length. */
  const replaced = (from: string, to: string): Promise<string> => {
    const bytes = readFileSync(tiny);
    const at = bytes.indexOf(from);
    expect(at).toBeGreaterThan(0);
    expect(to).toHaveLength(from.length);
    bytes.write(to, at, 'latin1');
    return write(`${to.replaceAll('/', '_')}.gguf`, bytes);
  };

  it('reads metadata, the list of tensors, and the bytes of one', () => {
    const file = readGguf(tiny);
    expect(file.metadata.get('general.architecture')).toBe('llama');
    expect(file.metadata.get('tokenizer.ggml.tokens')).toHaveLength(260);
    const tensor = file.tensors.get('blk.1.ffn_down.weight');
    expect(tensor).toMatchObject({ shape: [96, 64], type: { name: 'Q4_0' }, byteLength: (96 * 64 * 18) / 32 });
    const bytes = tensor === undefined ? new Uint8Array() : file.readTensor(tensor);
    expect(Buffer.compare(bytes, readFileSync(tiny).subarray(tensor?.offset, (tensor?.offset ?? 0) + bytes.length))).toBe(0);
    file.close();
  });

  it('refuses what is no GGUF, another version, and a file that is not there', async () => {
    expect(() => readGguf(join(folder, 'nowhere.gguf'))).toThrow('There is no model file');
    const text = await write('text.gguf', Buffer.from('x'.repeat(100)));
    expect(() => readGguf(text)).toThrow('is not a GGUF file');
    const bytes = readFileSync(tiny);
    bytes.writeUInt32LE(9, 4);
    const version = await write('version.gguf', bytes);
    expect(() => readGguf(version)).toThrow('version 9');
  });

  it('refuses a type that it does not know, by name of the tensor', async () => {
    const bytes = readFileSync(tiny);
    const name = 'token_embd.weight';
    bytes.writeUInt32LE(77, bytes.indexOf(name) + name.length + 4 + 16);
    const path = await write('type.gguf', bytes);
    expect(() => readGguf(path)).toThrow('stores token_embd.weight as ggml type 77');
  });

  it('says that a file is damaged wherever it is cut off', async () => {
    const bytes = readFileSync(tiny);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 24, max: bytes.length - 33 }), async (length) => {
        const path = await write('cut.gguf', bytes.subarray(0, length));
        expect(() => readGguf(path)).toThrow(SentenceError);
      }),
      { numRuns: 60 },
    );
  });

  it('either reads a damaged header or says so: no crash, no endless work', async () => {
    const bytes = readFileSync(tiny);
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 8, max: 3000 }), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ change;
        const path = await write('damaged.gguf', damaged);
        try {
          readModelConfig(readGguf(path));
        } catch (error) {
          expect(error).toBeInstanceOf(SentenceError);
        }
      }),
      { numRuns: 150 },
    );
  });

  it('refuses another family by name', async () => {
    const path = await replaced('llama', 'gemma');
    expect(() => readModelConfig(readGguf(path))).toThrow('holds a model of the family "gemma"; this engine runs llama, qwen2, qwen3.');
  });

  it('refuses a file that leaves out what the graph needs', async () => {
    const path = await replaced('llama.block_count', 'llama.block_xxxxx');
    expect(() => readModelConfig(readGguf(path))).toThrow('does not say llama.block_count');
  });
});
