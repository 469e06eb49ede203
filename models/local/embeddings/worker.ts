/** The thread that embeds: onnxruntime blocks it during each run. */
import { parentPort, workerData } from 'node:worker_threads';
import { Embedder, TextTooLongError } from './embedder.ts';
import type { EmbeddingReply, EmbeddingTask, EmbeddingWorkerOptions } from './embedding-client.ts';

const port = parentPort;
if (port === null) throw new Error('worker.ts runs as a worker thread only');
const { folder, threads } = workerData as EmbeddingWorkerOptions; // passed by EmbeddingClient

const embedder = await Embedder.load(folder, threads);
let last = Promise.resolve();

async function work({ number, input }: EmbeddingTask): Promise<EmbeddingReply> {
  try {
    return { number, ...(await embedder.embed(input)) };
  } catch (error) {
    return { number, problem: error instanceof TextTooLongError ? error.message : 'The input cannot be embedded.' };
  }
}

port.on('message', (task: EmbeddingTask | 'stop') => {
  last = last.then(async () => {
    if (task !== 'stop') return port.postMessage(await work(task));
    await embedder.dispose();
    port.close();
  });
});
port.postMessage('ready');
