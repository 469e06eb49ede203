import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { transformSync } from 'esbuild';
import { type LambdaRuntimeApi, startLambdaRuntimeApi } from './lambda-runtime-api.ts';

/** A bundled function (`FOLDER/index.mjs`) running as Lambda runs it: a process that asks a Runtime API for events. */
export interface RunningFunction {
  readonly api: LambdaRuntimeApi;
  readonly process: ChildProcess;
  /** What the function has written to stdout and stderr. */
  log(): string;
  stop(): Promise<void>;
}

/** As JavaScript, which Lambda's own is: a process that strips types first spends a third of a cold start on that. */
const { code: RUNTIME } = transformSync(readFileSync(new URL('lambda-runtime.ts', import.meta.url), 'utf8'), {
  loader: 'ts',
  format: 'esm',
});

/** The environment is exactly what is given, as in Lambda: nothing of this process leaks in. */
export async function runLambdaFunction(
  folder: string,
  environment: Readonly<Record<string, string>>,
  handler = 'index.handler',
): Promise<RunningFunction> {
  const api = await startLambdaRuntimeApi();
  const child = spawn(process.execPath, ['--input-type=module', '--eval', RUNTIME], {
    env: { ...environment, AWS_LAMBDA_RUNTIME_API: api.address, LAMBDA_TASK_ROOT: folder, _HANDLER: handler },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
  child.once('exit', (code, signal) => {
    const start = api.initError === undefined ? '' : `: ${api.initError.errorMessage}`;
    api.lose(new Error(`the function's process ended (${signal ?? code})${start}\n${shorten(text)}`));
  });
  return {
    api,
    process: child,
    log: () => text,
    async stop() {
      api.close();
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    },
  };
}

/** Node shows the line that threw, and a bundle is one line. */
function shorten(text: string): string {
  return text.replaceAll(/^.{300,}$/gm, (line) => `${line.slice(0, 300)}…`).slice(-4000);
}
