/**
 * `npm run test:clients`: starts the whole stack, prepares each client in a folder of its own and has it call. `-- NAME …` runs some of them.
 * Node's official client runs in `npm test` (node.test.ts).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startPenstock } from '../../support/start-penstock.ts';

const HERE = import.meta.dirname;
const CACHE = new URL('../../../node_modules/.cache/penstock-clients', import.meta.url).pathname;
const MODEL = 'smollm2-135m-instruct';
const KEY = 'sk-local';

interface Client {
  /** The program that is needed for it. */
  readonly needs: string;
  /** Makes what it needs, once. @returns the command that calls, to which the server is added. */
  prepare(folder: string): Promise<readonly string[]>;
}

const python = (group: string): Client => ({
  needs: 'python3',
  async prepare(folder) {
    const program = join(folder, 'bin/python');
    if (!(await exists(program))) {
      await run(['python3', '-m', 'venv', folder]);
      await run([program, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', join(HERE, `python/${group}.txt`)]);
    }
    return [program, join(HERE, 'python/check.py'), group];
  },
});

const clients: Readonly<Record<string, Client>> = {
  curl: { needs: 'curl', prepare: async () => ['sh', join(HERE, 'curl.sh')] },
  npm: {
    needs: 'npm',
    async prepare(folder) {
      await cp(join(HERE, 'npm'), folder, { recursive: true });
      await run(['npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--silent'], folder);
      return [process.execPath, join(folder, 'check.mjs')];
    },
  },
  go: {
    needs: 'go',
    async prepare(folder) {
      await cp(join(HERE, 'go'), folder, { recursive: true });
      await run(['go', 'mod', 'tidy'], folder);
      await run(['go', 'build', '-o', 'check', '.'], folder);
      return [join(folder, 'check')];
    },
  },
  official: python('official'),
  langchain: python('langchain'),
  instructor: python('instructor'),
  litellm: python('litellm'),
  llm: python('llm'),
};

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(clients);
const unknown = names.filter((name) => !(name in clients));
if (unknown.length > 0) {
  process.stderr.write(`There is no client ${unknown.join(', ')}. There are ${Object.keys(clients).join(', ')}.\n`);
  process.exit(2);
}
const penstock = await startPenstock();
const failed: string[] = [];
try {
  for (const name of names) {
    const client = clients[name];
    if (client === undefined) continue;
    process.stdout.write(`\n${name}\n`);
    const folder = join(CACHE, name);
    await mkdir(folder, { recursive: true });
    try {
      await run([...(await client.prepare(folder)), penstock.url, KEY, MODEL]);
    } catch (error) {
      failed.push(name);
      process.stdout.write(`FAIL  ${name} (needs ${client.needs}): ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
} finally {
  await penstock.stop();
}
process.stdout.write(failed.length === 0 ? '\nAll clients work.\n' : `\nFailed: ${failed.join(', ')}\n`);
process.exit(failed.length === 0 ? 0 : 1);

async function run([program = '', ...args]: readonly string[], folder = HERE): Promise<void> {
  const child = spawn(program, args, { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`${program} ended with ${code}`);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
