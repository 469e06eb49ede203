/** `npm start`: gets the model, starts the local stack, says how to call it, and stops it on Ctrl-C. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ENCODING_NAMES, loadEncoding } from '../tokenizers/encodings.ts';
import { makeFolder } from './make-folder.ts';
import { beginEmbeddings } from './prepare-embeddings.ts';
import { prepareModel } from './prepare-model.ts';
import { SentenceError } from './sentence-error.ts';
import { HELP, type LocalSettings, readSettings } from './settings.ts';
import { describeStack, STOP_ORDER } from './stack.ts';
import { Supervisor } from './supervisor.ts';
import { welcome } from './welcome.ts';

try {
  const settings = readSettings(process.argv.slice(2));
  if (settings === 'help') console.log(HELP);
  else await start(settings);
} catch (error) {
  console.error(error instanceof SentenceError ? error.message : error);
  process.exit(1);
}

async function start(settings: LocalSettings): Promise<void> {
  refuseOpenDoor(settings);
  await refuseTakenPort(settings);
  const logFolder = join(settings.cacheFolder, 'logs');
  await makeFolder(logFolder);
  const embeddings = beginEmbeddings(settings, (sentence) => console.error(sentence));
  const model = { ...(await prepareModel(settings)), embeddingsFolder: await embeddings.folder() };
  const runFolder = await mkdtemp(join(tmpdir(), 'penstock-'));
  const startedAt = performance.now();
  const supervisor = new Supervisor({ logFolder, say: (sentence) => console.error(sentence) });
  process.once('exit', () => supervisor.kill());
  stopOnSignal(supervisor, runFolder);

  const stack = await describeStack(settings, model, runFolder);
  await Promise.all(stack.children.map((child) => supervisor.start(child)));
  console.log(welcome(settings, stack, (performance.now() - startedAt) / 1000));
  await compileEncodings();
}

/** Once, and here, where it keeps nobody waiting: `/tokenize` takes them for a model from then on. */
async function compileEncodings(): Promise<void> {
  for (const name of ENCODING_NAMES) {
    await loadEncoding(name).catch((error: unknown) =>
      console.error(`${name} cannot be tokenized: ${error instanceof Error ? error.message : error}`),
    );
  }
}

/** A key that everybody knows is no key where others can call. */
function refuseOpenDoor(settings: LocalSettings): void {
  if (settings.apiKey !== undefined || settings.isLoopback) return;
  throw new SentenceError(
    `${settings.host} can be reached from other machines: set PENSTOCK_API_KEY to a key of your own, or leave HOST at 127.0.0.1.`,
  );
}

/** Before the long work, so that it need not be waited for in vain. */
function refuseTakenPort({ host, port }: LocalSettings): Promise<void> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE')
        reject(new SentenceError(`Port ${port} is taken. Stop what uses it, or choose another: npm start -- --port ${port + 1}`));
      else if (error.code === 'EACCES')
        reject(new SentenceError(`Port ${port} needs more rights. Choose one above 1023: npm start -- --port 8080`));
      else reject(new SentenceError(`${host}:${port} cannot be listened on (${error.code}). Set HOST to an address of this machine.`));
    });
    probe.listen(port, host, () => probe.close(() => resolve()));
  });
}

/** The first signal drains: the gateway ends its streams, then what is behind it stops. The second ends everything at once. */
function stopOnSignal(supervisor: Supervisor, runFolder: string): void {
  let stopping = false;
  const stop = async () => {
    if (stopping) {
      supervisor.kill();
      process.exit(1);
    }
    stopping = true;
    console.error('\nStopping: running answers are finished first. Press Ctrl-C again to stop at once.');
    await supervisor.stop(STOP_ORDER);
    await rm(runFolder, { recursive: true, force: true });
    process.exit(0);
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.on('SIGHUP', stop);
}
