/** The clients that are tested, and what each needs before it can call. Every registry is the client's own, as the machine has it configured. */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from './run-program.ts';

export interface Client {
  /** Programs that must be there; each is asked to say something, and what it is for someone who lacks it. */
  readonly needs: readonly { readonly probe: readonly string[]; readonly name: string }[];
  /** Files of this folder that decide what is prepared: when one changes, it is prepared anew. */
  readonly files: readonly string[];
  /** Makes what it needs in an empty folder. */
  prepare(folder: string): Promise<void>;
  /** The command that calls; the server's address, a key and the models' names are added. */
  command(folder: string): readonly string[];
}

const HERE = import.meta.dirname;

const python = (name: string): Client => ({
  needs: [
    { probe: ['python3', '-c', 'import sys; assert sys.version_info >= (3, 10)'], name: 'Python 3.10 or later' },
    { probe: ['python3', '-c', 'import venv, ensurepip'], name: "Python's venv" },
  ],
  files: [`python/${name}.txt`],
  async prepare(folder) {
    await run(['python3', '-m', 'venv', folder]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--only-binary', ':all:', '--no-deps'];
    await run([join(folder, 'bin/python'), ...pip, '-r', join(HERE, `python/${name}.txt`)]);
  },
  command: (folder) => [join(folder, 'bin/python'), join(HERE, `python/run_${name}.py`)],
});

const node = (name: string): Client => ({
  needs: [{ probe: ['npm', '--version'], name: 'npm' }],
  files: [`node/${name}/package.json`, `node/${name}/calls.mjs`, 'node/report.mjs'],
  async prepare(folder) {
    await cp(join(HERE, 'node', name), folder, { recursive: true });
    await cp(join(HERE, 'node/report.mjs'), join(folder, 'report.mjs'));
    await run(['npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts', '--no-package-lock', '--loglevel', 'error'], { folder });
  },
  command: (folder) => [process.execPath, join(folder, 'calls.mjs')],
});

export const clients: Readonly<Record<string, Client>> = {
  curl: {
    needs: [{ probe: ['curl', '--version'], name: 'curl' }],
    files: [],
    prepare: async () => undefined,
    command: () => ['sh', join(HERE, 'curl/calls.sh')],
  },
  'openai-node': node('openai'),
  'ai-sdk': node('ai-sdk'),
  'langchain-js': node('langchain'),
  go: {
    needs: [{ probe: ['go', 'version'], name: 'Go' }],
    files: ['go/go.mod', 'go/go.sum', 'go/main.go', 'go/calls.go'],
    async prepare(folder) {
      await cp(join(HERE, 'go'), folder, { recursive: true });
      // Modules that can be written again can be deleted again.
      const environment = { GOMODCACHE: join(folder, 'modules'), GOFLAGS: `${process.env['GOFLAGS'] ?? ''} -modcacherw`.trim() };
      await run(['go', 'build', '-o', 'calls', '.'], { folder, environment });
    },
    command: (folder) => [join(folder, 'calls')],
  },
  java: {
    needs: [
      { probe: ['mvn', '--version'], name: 'Maven' },
      { probe: ['javac', '-version'], name: 'a JDK' },
    ],
    files: ['java/pom.xml', 'java/Calls.java', 'java/Report.java'],
    async prepare(folder) {
      await cp(join(HERE, 'java'), folder, { recursive: true });
      const copy = ['dependency:copy-dependencies', `-DoutputDirectory=${join(folder, 'lib')}`];
      await run(['mvn', '--batch-mode', '--quiet', `-Dmaven.repo.local=${join(folder, 'repository')}`, ...copy], { folder });
      await run(['javac', '-cp', 'lib/*', '-d', 'classes', 'Calls.java', 'Report.java'], { folder });
    },
    command: (folder) => ['java', '-cp', `${join(folder, 'lib/*')}:${join(folder, 'classes')}`, 'Calls'],
  },
  'openai-python': python('openai'),
  'langchain-python': python('langchain'),
  'llama-index': python('llama_index'),
  instructor: python('instructor'),
  litellm: python('litellm'),
  llm: python('llm'),
  'llm-comply': python('llm_comply'),
};
