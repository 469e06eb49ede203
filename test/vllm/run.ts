/**
 * `npm run test:vllm`: proves the production path against a real vLLM on this machine. With `--record` it makes test/fixtures/vllm
 * anew instead. Optional, and no part of `npm test`: the first run fetches about 2 GB.
 */
import { join } from 'node:path';
import { startVitest } from 'vitest/node';
import { readSettings } from '../../models/local/settings.ts';
import { freePort } from '../support/free-port.ts';
import { recordVllm } from './record.ts';
import { prepareVllm, startVllm } from './vllm-server.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const say = (sentence: string) => void process.stderr.write(`${sentence}\n`);

const settings = readSettings([]);
if (settings === 'help') throw new Error('no option was given');
const installed = await prepareVllm(settings.cacheFolder, say);
say('Starting vLLM: one to two minutes.');
const logFile = join(settings.cacheFolder, 'vllm.log');
const server = await startVllm(installed, await freePort(), logFile);
const interrupt = () => void server[Symbol.asyncDispose]().then(() => process.exit(1));
process.once('SIGINT', interrupt);
process.once('SIGTERM', interrupt);
try {
  if (process.argv.includes('--record')) await recordVllm(server.url, say);
  else process.exitCode = await runTests(server.url);
} finally {
  await server[Symbol.asyncDispose]();
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
