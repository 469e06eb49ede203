/**
 * `npm run test:vllm`: proves the production path against a real vLLM on this machine. With `--record` it makes test/fixtures/vllm
 * anew instead. Optional, and no part of `npm test`: the first run fetches about 2 GB.
 */
import { join } from 'node:path';
import { startVitest } from 'vitest/node';
import { freePort } from '../../models/local/free-port.ts';
import { readSettings } from '../../models/local/settings.ts';
import { recordEmbedding, recordGeneration } from './record.ts';
import { prepareVllm, startVllm } from './vllm-server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const say = (sentence: string) => void process.stderr.write(`${sentence}\n`);

const settings = readSettings([]);
if (settings === 'help') throw new Error('no option was given');
const { cacheFolder } = settings;
const installed = await prepareVllm(cacheFolder, say);
if (process.argv.includes('--record')) {
  await withServer('generate', recordGeneration);
  await withServer('embed', recordEmbedding);
} else {
  await withServer('generate', async (url) => {
    process.exitCode = await runTests(url);
  });
}

async function withServer(role: 'generate' | 'embed', use: (url: string) => Promise<void>): Promise<void> {
  say('Starting vLLM: one to two minutes.');
  await using server = await startVllm(installed, role, await freePort(), join(cacheFolder, 'vllm.log'));
  const interrupt = () => void server[Symbol.asyncDispose]().then(() => process.exit(1));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  await use(server.url);
  process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
}

async function runTests(url: string): Promise<number> {
  process.env['VLLM_URL'] = url;
  const vitest = await startVitest('test', [], {
    config: false,
    root: ROOT,
    watch: false,
    include: ['test/vllm/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
  });
  const failed = vitest.state.getCountOfFailedTests() + vitest.state.getUnhandledErrors().length;
  const ran = vitest.state.getFiles().length;
  await vitest.close();
  return failed === 0 && ran > 0 ? 0 : 1;
}
