/**
 * The gateways that ours is held against, in a folder of the user's cache, never among this project's packages: LiteLLM from PyPI in a virtual
 * environment, Portkey from npm. The first run installs them (LiteLLM is 740 MB); it needs Python 3.9 or newer with pip, and npm.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CACHE = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'penstock', 'peers');
const INSTALL_TIMEOUT_MS = 15 * 60_000;

export const LITELLM_VERSION = '1.106.2';
export const PORTKEY_VERSION = '1.15.2';

/** As published, its server answers every stream with 500 (`TypeError: immutable`); with these versions below it, it works. */
const PORTKEY_PACKAGE = {
  private: true,
  dependencies: { '@portkey-ai/gateway': PORTKEY_VERSION, hono: '4.9.7', '@hono/node-server': '1.13.8' },
  overrides: { hono: '4.9.7', '@hono/node-server': '1.13.8' },
};

/** @returns the folder of the virtual environment. @throws when it cannot be installed. */
export async function installLitellm(): Promise<string> {
  return install(`litellm-${LITELLM_VERSION}`, async (folder) => {
    // Scripts of an environment name its folder, so it is called through `python -m` once it has moved.
    await run('python3', ['-m', 'venv', '--copies', folder]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', `litellm[proxy]==${LITELLM_VERSION}`];
    await run(join(folder, 'bin', 'python3'), pip, { timeout: INSTALL_TIMEOUT_MS });
  });
}

/** @returns the folder that holds its `node_modules`. @throws when it cannot be installed. */
export async function installPortkey(): Promise<string> {
  return install(`portkey-${PORTKEY_VERSION}`, async (folder) => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify(PORTKEY_PACKAGE));
    await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], { cwd: folder, timeout: INSTALL_TIMEOUT_MS });
  });
}

/** Into a folder of its own first: an interrupted install leaves nothing that looks finished. */
async function install(name: string, build: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(CACHE, name);
  if (existsSync(folder)) return folder;
  const building = `${folder}.${process.pid}`;
  await mkdir(CACHE, { recursive: true });
  try {
    await build(building);
    await rename(building, folder).catch((error: NodeJS.ErrnoException) => {
      if (!existsSync(folder)) throw error; // another process was first
    });
    return folder;
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}
