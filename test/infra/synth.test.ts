import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { projectPath } from '../../infra/project-path.ts';
import { REGIONS } from '../support/synthesise-stacks.ts';

const run = promisify(execFile);
let out: string;

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), 'penstock-synth-'));
});
afterAll(() => rm(out, { recursive: true, force: true }));

/** As whoever deploys does it, with neither credentials nor AWS within reach. */
const synth = (...options: string[]) =>
  run('npm', ['run', 'synth', '--', '--output', out, ...options], {
    cwd: projectPath('.'),
    env: { PATH: process.env['PATH'], HOME: out, AWS_EC2_METADATA_DISABLED: 'true', CI: 'true' },
  });

it('`npm run synth` makes every stack', async () => {
  await synth('-c', 'profile=production', '-c', `regions=${REGIONS.join(',')}`, '-c', 'unpinnedImages=true');
  const templates = (await readdir(out))
    .filter((name) => name.endsWith('.template.json'))
    .map((name) => name.replace('.template.json', ''));
  expect(templates.sort()).toEqual([
    ...REGIONS.map((region) => `penstock-canary-${region}`),
    'penstock-data',
    'penstock-edge',
    ...['gateway', 'inference', 'jobs', 'operations', 'weights'].flatMap((kind) => REGIONS.map((region) => `penstock-${kind}-${region}`)),
  ]);
});

it('`npm run synth` names a bad setting in one sentence and fails', async () => {
  await expect(synth('-c', 'profile=huge')).rejects.toMatchObject({
    stderr: expect.stringContaining('profile must be demo or production.'),
  });
});
