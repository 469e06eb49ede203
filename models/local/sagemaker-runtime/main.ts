/** `node models/local/sagemaker-runtime/main.ts --config FILE`: the local SageMaker runtime as a process of its own. */
import { parseArgs } from 'node:util';
import { drainOnSignal } from '../../../layers/network/drain-on-signal.ts';
import { SentenceError } from '../sentence-error.ts';
import { readJson } from './checked-json.ts';
import { loadRuntimeConfig } from './config.ts';
import { parseFaultPlan } from './faults.ts';
import { createRuntimeServer } from './server.ts';

const HELP = `Usage: node models/local/sagemaker-runtime/main.ts --config FILE [options]

Answers the AWS SDK as SageMaker's runtime does, and passes the calls on to containers.

Options:
  --config FILE   settings, JSON; see config.ts beside this file
  --host ADDRESS  default 127.0.0.1
  --port N        default 8081
  --faults FILE   fault plan, JSON; see faults.ts beside this file
  --help          this text

GET /ping answers 200. GET, PUT and DELETE /_admin/faults show, set and clear the fault plan, from this machine only.
`;

try {
  await start(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof SentenceError ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
}

async function start(argv: readonly string[]): Promise<void> {
  const options = readOptions(argv);
  if (options === 'help') {
    process.stdout.write(HELP);
    return;
  }
  const { host, port } = options;
  const config = await loadRuntimeConfig(options.config);
  const planFile = options.faults ?? config.faultPlanFile;
  const plan = planFile === undefined ? undefined : parseFaultPlan(await readJson(planFile));
  const server = createRuntimeServer(config, plan);
  server.once('error', (error: NodeJS.ErrnoException) => {
    const taken =
      error.code === 'EADDRINUSE' ? `Port ${port} is taken. Stop what uses it, or choose another one with --port.` : error.message;
    process.stderr.write(`${taken}\n`);
    process.exit(1);
  });
  server.listen(port, host, () => {
    const address = server.address();
    process.stdout.write(`${JSON.stringify({ event: 'listening', host, port: typeof address === 'object' ? address?.port : port })}\n`);
  });

  drainOnSignal(server, config.drainSeconds, (signal) => {
    process.stdout.write(`${JSON.stringify({ event: 'draining', signal })}\n`);
  });
}

function readOptions(argv: readonly string[]): 'help' | { config: string; host: string; port: number; faults: string | undefined } {
  let values: { config?: string; host?: string; port?: string; faults?: string; help?: boolean };
  try {
    ({ values } = parseArgs({
      args: [...argv],
      options: {
        config: { type: 'string' },
        host: { type: 'string' },
        port: { type: 'string' },
        faults: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    throw new SentenceError(`${error instanceof Error ? error.message : String(error)} --help lists the options.`);
  }
  if (values.help === true) return 'help';
  const port = Number(values.port ?? 8081);
  const problems: string[] = [];
  if (values.config === undefined) problems.push('--config FILE is missing.');
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    problems.push(`--port must be a whole number from 0 to 65535, not "${values.port}".`);
  if (problems.length > 0) throw new SentenceError(`${problems.join('\n')}\n--help lists the options.`);
  return { config: values.config ?? '', host: values.host ?? '127.0.0.1', port, faults: values.faults };
}
