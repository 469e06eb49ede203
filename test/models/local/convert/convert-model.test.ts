import { readFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../../../layers/tokenizer/index.ts';
import { convertModel } from '../../../../models/local/convert/convert-model.ts';
import { beginOpening, MODEL_FILES, openModelFolder } from '../../../../models/local/convert/model-folder.ts';
import { SentenceError } from '../../../../models/local/sentence-error.ts';
import { divergence, greatestDifference } from '../../../support/compare-logits.ts';
import { computeLogits } from '../../../support/compute-logits.ts';
import { convertTinyModel, ENGINE_FIXTURES } from '../../../support/tiny-model.ts';

interface TinyLogits {
  readonly ids: readonly number[];
  /** By model: every fifth row. */
  readonly logits: Readonly<Record<string, readonly (readonly number[])[]>>;
}

const oracle = JSON.parse(readFileSync(join(ENGINE_FIXTURES, 'tiny-logits.json'), 'utf8')) as TinyLogits; // written by record.py

describe('a converted model', () => {
  it.each(Object.entries(oracle.logits))('computes what the independent forward pass computed: %s', async (name, expected) => {
    await using model = await convertTinyModel(name, 'exact');
    for (const chunk of [16, 5, 1]) {
      const rows = await computeLogits(model, oracle.ids, chunk);
      for (const [i, row] of expected.entries()) {
        expect(greatestDifference(row, rows[i * 5] ?? []), `in chunks of ${chunk}`).toBeLessThan(0.001);
      }
    }
  });

  it.each(Object.entries(oracle.logits))('stays close at the serving precision: %s', async (name, expected) => {
    await using model = await convertTinyModel(name, 'fast');
    const rows = await computeLogits(model, oracle.ids, 16);
    const divergences = expected.map((row, i) => divergence(row, rows[i * 5] ?? []));
    expect(Math.max(...divergences)).toBeLessThan(0.02);
  });
});

describe('a folder with safetensors', () => {
  it('computes what the independent forward pass computed from the same weights', async () => {
    await using model = await convertTinyModel('folder', 'exact');
    const rows = await computeLogits(model, oracle.ids, 16);
    for (const [i, row] of (oracle.logits['f16'] ?? []).entries()) expect(greatestDifference(row, rows[i * 5] ?? [])).toBeLessThan(0.001);
    expect(model.config).toMatchObject({ architecture: 'llama', stopTokenIds: [258], bosTokenId: 257 });
  });

  it('brings its tokenizer and chat template', async () => {
    await using model = await convertTinyModel('folder');
    await using fromGguf = await convertTinyModel('f16');
    const [own, other] = await Promise.all(
      [model, fromGguf].map(async ({ path }) => loadTokenizer(await readFile(join(path, MODEL_FILES.vocabulary)))),
    );
    expect(own?.encode('in 42 tin\u00e9s')).toEqual(other?.encode('in 42 tin\u00e9s'));
    expect(await readFile(join(model.path, MODEL_FILES.chatTemplate), 'utf8')).toContain("messages[0]['content']");
  });

  it('is refused by name when its family is another one, or when it is no model', async () => {
    await using other = await copyFolder('config.json', (text) => text.replace('"llama"', '"gpt2"'));
    await expect(convertModel({ ggufPath: other.path, outputFolder: join(other.path, 'out') })).rejects.toThrow('the family "gpt2"');
    await using none = await copyFolder('config.json', () => '{}');
    await expect(convertModel({ ggufPath: none.path, outputFolder: join(none.path, 'out') })).rejects.toThrow(
      'config.json is missing or incomplete',
    );
    await using scaled = await copyFolder('config.json', (text) => text.replace('{', '{"rope_scaling": {"type": "linear"}, '));
    await expect(convertModel({ ggufPath: scaled.path, outputFolder: join(scaled.path, 'out') })).rejects.toThrow('rope scaling');
  });
});

async function copyFolder(file: string, change: (text: string) => string): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), 'penstock-folder-'));
  await cp(join(ENGINE_FIXTURES, 'tiny-folder'), path, { recursive: true });
  await writeFile(join(path, file), change(await readFile(join(path, file), 'utf8')));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

describe('convertModel', () => {
  let folder: string;
  const ggufPath = join(ENGINE_FIXTURES, 'tiny-q4_0.gguf');
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'penstock-convert-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('writes the same bytes each time, and reports progress up to 1', async () => {
    const fractions: number[] = [];
    await convertModel({ ggufPath, outputFolder: join(folder, 'one'), onProgress: (fraction) => fractions.push(fraction) });
    await convertModel({ ggufPath, outputFolder: join(folder, 'two') });
    const [one, two] = await Promise.all([openModelFolder(join(folder, 'one')), openModelFolder(join(folder, 'two'))]);
    expect(one.files).toEqual(two.files);
    expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
    expect(fractions.at(-1)).toBe(1);
  });

  it('keeps the tokenizer and the chat template of the file', async () => {
    const outputFolder = join(folder, 'tokenizer');
    await convertModel({ ggufPath, outputFolder });
    expect(await readFile(join(outputFolder, MODEL_FILES.chatTemplate), 'utf8')).toContain('<|im_start|>assistant');
    expect((await openModelFolder(outputFolder)).config).toMatchObject({ architecture: 'llama', vocabularySize: 260, stopTokenIds: [258] });
  });

  it.each(Object.values(MODEL_FILES))('finds a damaged %s and replaces the folder when it converts again', async (name) => {
    const outputFolder = join(folder, `damaged-${name}`);
    await convertModel({ ggufPath, outputFolder });
    const bytes = await readFile(join(outputFolder, name));
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    await writeFile(join(outputFolder, name), bytes);
    await expect(openModelFolder(outputFolder)).rejects.toThrow(`${name} is damaged`);
    await convertModel({ ggufPath, outputFolder });
    await expect(openModelFolder(outputFolder)).resolves.toMatchObject({ path: outputFolder });
  });

  it('is opened before its weights are checked, but not before the rest is', async () => {
    const outputFolder = join(folder, 'opened');
    await convertModel({ ggufPath, outputFolder });
    const damage = async (name: string) => {
      const bytes = await readFile(join(outputFolder, name));
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
      await writeFile(join(outputFolder, name), bytes);
    };
    await damage(MODEL_FILES.weights);
    const { model, checked } = await beginOpening(outputFolder);
    expect(model.path).toBe(outputFolder);
    await expect(checked).rejects.toThrow(`${MODEL_FILES.weights} is damaged`);
    await damage(MODEL_FILES.graph);
    await expect(beginOpening(outputFolder)).rejects.toThrow(`${MODEL_FILES.graph} is damaged`);
  });

  it('leaves nothing behind and the old folder in place when it is stopped', async () => {
    const outputFolder = join(folder, 'stopped', 'model');
    await convertModel({ ggufPath, outputFolder });
    const stop = new AbortController();
    const converting = convertModel({
      ggufPath,
      outputFolder,
      signal: stop.signal,
      onProgress: (fraction) => fraction > 0 && stop.abort(),
    });
    await expect(converting).rejects.toThrow(/abort/i);
    expect(await readdir(join(folder, 'stopped'))).toEqual(['model']);
    await expect(openModelFolder(outputFolder)).resolves.toBeDefined();
  });

  it('says in one sentence that the place is not a folder', async () => {
    await writeFile(join(folder, 'file'), '');
    const failure = await convertModel({ ggufPath, outputFolder: join(folder, 'file', 'model') }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(SentenceError);
  });

  it('removes what a killed conversion left', async () => {
    const parent = join(folder, 'killed');
    await mkdir(join(parent, 'model.partial-999999'), { recursive: true });
    await convertModel({ ggufPath, outputFolder: join(parent, 'model') });
    expect(await readdir(parent)).toEqual(['model']);
  });

  it('finds a folder of another version', async () => {
    const outputFolder = join(folder, 'version');
    await convertModel({ ggufPath, outputFolder });
    const manifest = await readFile(join(outputFolder, 'model.json'), 'utf8');
    await writeFile(join(outputFolder, 'model.json'), manifest.replace(/"version": \d+/, '"version": 0'));
    await expect(openModelFolder(outputFolder)).rejects.toThrow('another version');
    await cp(outputFolder, join(folder, 'empty'), { recursive: true });
    await rm(join(folder, 'empty', 'model.json'));
    await expect(openModelFolder(join(folder, 'empty'))).rejects.toThrow('holds no converted model');
  });
});
