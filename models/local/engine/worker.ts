/** The thread that computes. onnxruntime blocks it during each step; messages are read between steps. */
import { readFile } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { availableParallelism, constants, getPriority, setPriority } from 'node:os';
import { join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { loadTokenizer } from '../../../layers/tokenizer/index.ts';
import { MODEL_FILES } from '../convert/model-folder.ts';
import { AdapterError } from './adapter.ts';
import { Decoder } from './decoder.ts';
import { Engine } from './engine.ts';
import type { EngineEvent } from './engine-request.ts';
import { GrammarError, Grammars } from './grammar.ts';
import type { FromWorker, ToWorker, WorkerOptions } from './worker-messages.ts';

const PROFILE_INTERVAL_MS = 5000;
/** Added to the thread's nice value. */
const LESS_URGENT = 5;

const port = parentPort;
if (port === null) throw new Error('worker.ts runs as a worker thread only');
const { model, limits, threads, profile } = workerData as WorkerOptions; // passed by EngineClient

yieldToOthers();
const decoder = await Decoder.load(model, { threads });
let events: EngineEvent[] = [];
let flushIsPlanned = false;
const grammars = new Grammars(
  async () => loadTokenizer(await readFile(join(model.path, MODEL_FILES.vocabulary))),
  model.config.stopTokenIds,
);
const engine = new Engine({ decoder, grammars, config: model.config, limits, emit: tell, onIdle: planFlush });

/**
 * Where steps leave a core free, what has been computed goes out at once instead of waiting behind one. onnxruntime's own threads are started by
 * this one and have its priority.
 */
function yieldToOthers(): void {
  if (threads >= availableParallelism()) return; // each answer would interrupt a step, and its threads wait for each other
  // Elsewhere than on Linux it would be the whole process.
  if (process.platform === 'linux') setPriority(Math.min(constants.priority.PRIORITY_LOW, getPriority() + LESS_URGENT));
}

function tell(event: EngineEvent): void {
  events.push(event);
  planFlush();
}

/** Events of one step leave as one message. */
function planFlush(): void {
  if (flushIsPlanned) return;
  flushIsPlanned = true;
  queueMicrotask(() => {
    flushIsPlanned = false;
    post({ type: 'events', events, status: engine.status });
    events = [];
  });
}

function post(message: FromWorker): void {
  port?.postMessage(message);
}

port.on('message', async (message: ToWorker) => {
  switch (message.type) {
    case 'submit':
      engine.submit(message.request);
      break;
    case 'cancel':
      engine.cancel(message.id);
      break;
    case 'check-grammar': {
      const problem = await grammars.check(message.grammar).then(
        () => undefined,
        (error: unknown) => (error instanceof GrammarError ? error.message : 'it cannot be compiled'),
      );
      post({ type: 'checked', number: message.number, problem });
      break;
    }
    case 'load-adapter': {
      const problem = await engine.loadAdapter(message.name, message.folder).then(
        () => undefined,
        (error: unknown) => (error instanceof AdapterError ? error.message : 'it cannot be loaded'),
      );
      post({ type: 'checked', number: message.number, problem });
      break;
    }
    case 'unload-adapter':
      engine.unloadAdapter(message.name);
      break;
    case 'stop':
      await engine.stop();
      await decoder.dispose();
      port.close();
  }
});
if (profile) setInterval(() => post({ type: 'profile', profile: engine.takeProfile() }), PROFILE_INTERVAL_MS).unref();
post({ type: 'ready' });
flushCompileCache(); // a thread has its own
