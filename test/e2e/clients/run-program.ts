import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface RunOptions {
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** Runs a program to its end. @returns what it wrote to stdout. @throws {Error} with the end of all that it wrote, when it fails. */
export async function run([program = '', ...args]: readonly string[], options: RunOptions = {}): Promise<string> {
  const { folder: cwd = import.meta.dirname, environment = {} } = options;
  const child = spawn(program, args, { cwd, env: { ...process.env, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  let everything = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    everything += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    everything += text;
  });
  const [code] = await once(child, 'close'); // a program that is not there throws here
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${everything.slice(-2_000).trim()}`);
  return output;
}

export async function succeeds(command: readonly string[]): Promise<boolean> {
  return await run(command).then(
    () => true,
    () => false,
  );
}
