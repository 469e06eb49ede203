import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serve } from '@hono/node-server';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSafetyPolicy } from '../../../layers/safety/index.ts';
import { TEST_KEY } from '../../support/gateway.ts';
import { createGenerationApp } from '../../support/generation-gateway.ts';
import { ToyEndpoint } from '../../support/toy-endpoint.ts';

const program = new URL('../../../functions/command/penstock.ts', import.meta.url).pathname;
const policy = { secrets: { input: 'block', output: 'redact' }, pinned: ['secrets'] };
let url: string;
let folder: string;
let close: () => void;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'penstock-command-'));
  await writeFile(join(folder, 'policy.json'), JSON.stringify(policy));
  const { app } = await createGenerationApp(new ToyEndpoint());
  await new Promise<void>((resolve) => {
    const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) => {
      url = `http://127.0.0.1:${port}/v1`;
      resolve();
    });
    close = () => server.close();
  });
});
afterAll(async () => {
  close();
  await rm(folder, { recursive: true, force: true });
});

function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  return new Promise((resolve) => {
    const env = { ...process.env, PENSTOCK_URL: url, PENSTOCK_API_KEY: TEST_KEY };
    execFile(process.execPath, [program, 'safety-policy', ...args], { env }, (error, out, err) =>
      resolve({ code: Number(error?.code ?? 0), out, err }),
    );
  });
}

describe('npm run penstock -- safety-policy', () => {
  it('sets a policy from a file, shows it and takes it away', async () => {
    const file = join(folder, 'policy.json');
    for (const owner of [['default'], ['organization', 'acme'], ['project', 'web']]) {
      const { digest } = parseSafetyPolicy(policy);
      expect(JSON.parse((await run('set', ...owner, '--file', file)).out)).toMatchObject({ digest });
      expect(JSON.parse((await run('get', ...owner)).out)).toMatchObject({ digest, policy });
      expect(JSON.parse((await run('delete', ...owner)).out)).toMatchObject({ deleted: true });
      expect(await run('get', ...owner)).toMatchObject({ code: 1, err: expect.stringContaining('no safety policy') });
    }
  });

  it.each([
    ['nobody', ['get'], 'default, project ID or organization ID'],
    ['no file', ['set', 'default'], '--file'],
    ['something else', ['paint', 'default'], 'get, set, delete or show'],
    ['a digest that judged nothing', ['show', 'f'.repeat(64)], 'no safety policy'],
  ])('says what is missing of %s', async (_, args, message) => {
    expect(await run(...args)).toMatchObject({ code: 1, err: expect.stringContaining(message) });
  });

  it('tells which field is wrong', async () => {
    const file = join(folder, 'wrong.json');
    await writeFile(file, '{"guard":{"timeoutMs":1}}');
    expect(await run('set', 'default', '--file', file)).toMatchObject({ code: 1, err: expect.stringContaining('guard.timeoutMs') });
  });
});
