/** `npm run tokenizer`: counts, encodes and decodes files, and compiles vocabularies. `--help` shows how. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { text as readAll } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compileTokenizerJson, loadTokenizer, type Tokenizer, UnknownTokenError, VocabularyError } from '../../layers/tokenizer/index.ts';
import { catalog } from '../catalog.ts';
import { COMPILED_FOLDER, ENCODINGS, type EncodingName, encodingPath, isEncodingName, loadEncoding } from './encodings.ts';

const HELP = `Counts, encodes and decodes text as the served models do.

  npm run tokenizer -- count  FILE --model M     the number of tokens
  npm run tokenizer -- encode FILE --model M     the ids, with spaces between
  npm run tokenizer -- decode FILE --model M     the text of ids
  npm run tokenizer -- compile                   the encodings of GPT models, into dist/tokenizers
  npm run tokenizer -- compile FILE --out FILE   a tokenizer.json into a vocabulary.bin

FILE is a path, or - for standard input.
--model M   a model of the catalog (${catalog.map(({ id }) => id).join(', ')}),
            an encoding (${Object.keys(ENCODINGS).join(', ')}),
            or the path of a vocabulary.bin or a tokenizer.json
--special   count and encode text that looks like control tokens as control tokens, as Hugging Face and vLLM do by default
--out       where to compile to
`;

/** A mistake in the command line or its files, shown as its one sentence. */
class UsageError extends Error {
  override readonly name = 'UsageError';
}

try {
  await run(process.argv.slice(2));
} catch (error) {
  const known = error instanceof UsageError || error instanceof VocabularyError || error instanceof UnknownTokenError;
  process.stderr.write(`${known ? error.message : error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}

async function run(args: readonly string[]): Promise<void> {
  const { values, positionals } = readArguments(args);
  const [command, file, ...rest] = positionals;
  if (values.help === true || command === undefined) return write(HELP);
  if (rest.length > 0) throw new UsageError(`One file at a time: ${rest.join(' ')} is left over.`);
  switch (command) {
    case 'count':
    case 'encode': {
      const tokenizer = await loadModel(values.model);
      const text = await readText(file, command);
      const ids = values.special === true ? tokenizer.encodeWithSpecialTokens(text) : tokenizer.encode(text);
      return write(`${command === 'count' ? ids.length : ids.join(' ')}\n`);
    }
    case 'decode': {
      const tokenizer = await loadModel(values.model);
      return write(tokenizer.decode(parseIds(await readText(file, command))));
    }
    case 'compile':
      return file === undefined ? compileEncodings(values.out) : compileFile(file, values.out);
    default:
      throw new UsageError(`There is no command ${command}: use count, encode, decode or compile. --help shows how.`);
  }
}

function readArguments(args: readonly string[]) {
  const options = {
    model: { type: 'string', short: 'm' },
    special: { type: 'boolean' },
    out: { type: 'string', short: 'o' },
    help: { type: 'boolean', short: 'h' },
  } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}. --help shows the options.`);
  }
}

async function loadModel(name: string | undefined): Promise<Tokenizer> {
  if (name === undefined) throw new UsageError('Name a model with --model. --help lists them.');
  const served = catalog.find(({ id }) => id === name);
  if (served !== undefined) {
    return loadTokenizer(await readBytes(fileURLToPath(new URL(`${served.tokenizer.folder}/vocabulary.bin`, import.meta.url))));
  }
  if (isEncodingName(name)) return loadEncoding(name);
  if (!/\.(bin|json)$/.test(name)) {
    throw new UsageError(
      `${name} is no model of the catalog, no encoding, and no path of a .bin or .json file. --help lists what there is.`,
    );
  }
  const file = await readBytes(name);
  return loadTokenizer(name.endsWith('.bin') ? file : compileTokenizerJson(parseJson(file, name)));
}

async function readText(file: string | undefined, command: string): Promise<string> {
  if (file === undefined) throw new UsageError(`${command} needs a file, or - for standard input.`);
  return file === '-' ? await readAll(process.stdin) : new TextDecoder('utf-8', { ignoreBOM: true }).decode(await readBytes(file));
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new UsageError(`${path} cannot be read (${code}). Check the path.`);
  }
}

function parseJson(file: Uint8Array, path: string): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(file));
  } catch {
    throw new UsageError(`${path} is not JSON.`);
  }
}

function parseIds(text: string): readonly number[] {
  return text
    .split(/[\s,[\]]+/)
    .filter((word) => word !== '')
    .map((word) => {
      if (!/^\d{1,9}$/.test(word))
        throw new UsageError(`${word.slice(0, 40)} is no token id. decode takes ids with spaces or commas between.`);
      return Number(word);
    });
}

async function compileEncodings(folder: string = COMPILED_FOLDER): Promise<void> {
  for (const name of Object.keys(ENCODINGS) as EncodingName[]) {
    const { digest } = await loadEncoding(name, folder);
    write(`${encodingPath(name, folder)} ${digest}\n`);
  }
}

async function compileFile(path: string, out: string | undefined): Promise<void> {
  if (out === undefined) throw new UsageError('Name the file to write with --out.');
  const compiled = compileTokenizerJson(parseJson(await readBytes(path), path));
  await mkdir(dirname(out), { recursive: true });
  await writeFile(out, compiled);
  write(`${out} ${loadTokenizer(compiled).digest}\n`);
}

function write(text: string): void {
  process.stdout.write(text);
}
