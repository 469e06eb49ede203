import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../models/local/free-port.ts';

/** `npm start`'s own process with its whole stack behind it, as a user has it. */
export interface RunningPenstock {
  /** Base URL for clients, with `/v1`. */
  readonly url: string;
  readonly port: number;
  readonly supervisor: ChildProcess;
  /** What the terminal has shown so far. */
  terminal(): string;
  /** Resolves when the terminal shows a match, also one that it has shown already. */
  shows(pattern: RegExp): Promise<RegExpExecArray>;
  /** Ctrl-C, and the exit code. */
  stop(): Promise<number | null>;
}

/** Starts it on a free port and waits until it says that it is ready. */
export async function startPenstock(
  args: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<RunningPenstock> {
  const port = await freePort();
  // Keys, limits and answers of its own: what one test leaves behind is not there for the next.
  const data = await mkdtemp(join(tmpdir(), 'penstock-data-'));
  const supervisor = runStart(['--port', String(port), ...args], { PENSTOCK_DATA: data, ...environment });
  supervisor.once('exit', () => void rm(data, { recursive: true, force: true }));
  const running = watch(supervisor, port);
  await Promise.race([
    running.shows(/Penstock is ready/),
    once(supervisor, 'exit').then(() => {
      throw new Error(`npm start ended: ${running.terminal()}`);
    }),
  ]);
  return running;
}

/** Runs it to its end: for starts that must fail. */
export async function runToEnd(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ code: number | null; terminal: string }> {
  const child = runStart(args, environment);
  const running = watch(child, 0);
  const [code] = await once(child, 'close');
  return { code, terminal: running.terminal() };
}

function runStart(args: readonly string[], environment: Readonly<Record<string, string>>): ChildProcess {
  const { HOST: _h, PORT: _p, PENSTOCK_API_KEY: _k, ...inherited } = process.env;
  const file = new URL('../../models/local/start.ts', import.meta.url).pathname;
  return spawn(process.execPath, [file, ...args], { env: { ...inherited, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
}

function watch(supervisor: ChildProcess, port: number): RunningPenstock {
  let terminal = '';
  const waiting = new Set<() => void>();
  for (const stream of [supervisor.stdout, supervisor.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      terminal += text;
      for (const look of waiting) look();
    });
  }
  return {
    url: `http://127.0.0.1:${port}/v1`,
    port,
    supervisor,
    terminal: () => terminal,
    shows: (pattern) =>
      new Promise((resolve) => {
        const look = () => {
          const match = pattern.exec(terminal);
          if (match === null) return;
          waiting.delete(look);
          resolve(match);
        };
        waiting.add(look);
        look();
      }),
    async stop() {
      if (supervisor.exitCode !== null || supervisor.signalCode !== null) return supervisor.exitCode;
      const exited = once(supervisor, 'exit');
      supervisor.kill('SIGINT');
      return (await exited)[0];
    },
  };
}
